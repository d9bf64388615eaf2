/** Lists that shrink by accident, and lists that cannot be read. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { startGateway } from '../../kit/builders/gateways.ts'
import { request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { eventually } from '../../kit/wait.ts'

const file = { after }
const nodes = await Promise.all([1, 2, 3].map(() => startFakeNode({}, file)))
const services = await Promise.all([1, 2, 3].map(() => startFakeOpenAi({}, file)))
const addresses = nodes.map(({ address }) => address)
const entries = services.map(({ url }, n) => ({ name: `service-${n}`, url }))
const gateway = await startGateway(file, { nodes: addresses, services: entries })
const everybody = [...addresses, ...entries.map(({ name }) => name)]

async function listed(): Promise<string[]> {
  const { services } = (await request(`${gateway.url}/services`)).json<{ services: { name: string }[] }>()
  return services.map(({ name }) => name)
}

/** Log lines with this text, from this one on. */
function linesWith(text: string, from = 0): number {
  return gateway.logs.slice(from).filter(({ message }) => message?.includes(text) === true).length
}

describe('a list that loses its entries', () => {
  test('because a download truncated the file drops nobody where they are back in time', async () => {
    await truncate(join(gateway.cwd, 'ips.txt'))
    await gateway.setServices([entries[0]!])
    await eventually(() => linesWith('file lost all') === 1 && linesWith('file lost more than half') === 1)
    assert.deepEqual(await listed(), everybody)
    await gateway.setNodes(addresses)
    await gateway.setServices(entries)
    await eventually(() => linesWith('file has its entries again') === 2)
    assert.deepEqual(await listed(), everybody)
  })

  test('is believed when it has stayed so for five seconds', async () => {
    const startedMs = performance.now()
    await truncate(join(gateway.cwd, 'ips.txt'))
    await gateway.setServices([entries[0]!])
    await eventually(async () => (await listed()).length < everybody.length)
    assert.ok(performance.now() - startedMs >= 5000)
    await eventually(async () => (await listed()).join() === 'service-0')
    await eventually(() => linesWith('the shorter list counts now') === 2)
    for (const line of gateway.logs) {
      if (line.message?.includes('shorter list') === true) assert.equal(line.level, 'warn')
    }
  })
})

const hasPrlimit = spawnSync('prlimit', ['--version']).status === 0

test(
  'a file that changed while it could not be read is read afterwards',
  { skip: !hasPrlimit && 'no prlimit' },
  async () => {
    await gateway.setNodes([addresses[0]!])
    await eventually(async () => (await listed()).includes(addresses[0]!))
    // Fewer descriptors than it has open: each further one is EMFILE.
    const limit = (soft: string): unknown =>
      execFileSync('prlimit', ['--pid', String(gateway.pid), `--nofile=${soft}:`])
    const from = gateway.logs.length
    limit(String(Math.max(8, readdirSync(`/proc/${gateway.pid}/fd`).length - 8)))
    await writeFile(join(gateway.cwd, 'ips.txt'), addresses.slice(0, 2).join('\n'))
    await gateway.waitForLog(({ message }) => message?.startsWith('addresses file cannot be read') === true)
    limit('4096')
    await eventually(async () => (await listed()).includes(addresses[1]!))
    assert.equal(linesWith('addresses file cannot be read', from), 1)
    assert.equal(linesWith('addresses file can be read again', from), 1)
  },
)
