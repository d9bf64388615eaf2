/** `dns://name[:port]` in the addresses file: every address behind the name is a node. */
import assert from 'node:assert/strict'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { spawnGateway } from '../../kit/gateway.ts'
import { request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { eventually, freePort, tempDir } from '../../kit/wait.ts'
import { statsOf } from '../support.ts'

const file = { after }
/** All nodes behind one name share its port. */
const HOSTS = ['127.0.0.31', '127.0.0.32', '127.0.0.33', '127.0.0.34']
const port = await freePort(...HOSTS)
const nodes = await Promise.all(HOSTS.map((host) => startFakeNode({ host, port }, file)))
const [first, second, third, fourth] = nodes.map(({ address }) => address)
const tablePath = join(await tempDir(file), 'names.json')

async function resolvesTo(names: Record<string, readonly string[] | string>): Promise<void> {
  await writeFile(`${tablePath}.new`, JSON.stringify(names))
  await rename(`${tablePath}.new`, tablePath)
}

await resolvesTo({ 'nodes.test': HOSTS.slice(0, 2), 'empty.test': 'ENOTFOUND' })
const gateway = await spawnGateway(file, {
  ipsLines: [
    `dns://nodes.test:${port} concurrency=7`,
    `dns://empty.test:${port}`,
    `http://${second}/`,
    'dns://nodes.test:4000/base',
    'dns://',
  ],
  env: {
    REFRESH_INTERVAL: '0.3',
    RATELIMIT_REQS_PER_MIN: '0',
    DNS_TABLE: tablePath,
    NODE_OPTIONS: `--import ${new URL('../../kit/fakeDns.ts', import.meta.url).href}`,
  },
})

async function listed(): Promise<string[]> {
  const { services } = (await request(`${gateway.url}/services`)).json<{ services: { name: string }[] }>()
  return services.map(({ name }) => name).sort()
}

async function becomes(...expected: (string | undefined)[]): Promise<void> {
  const text = expected.toSorted().join()
  await eventually(async () => (await listed()).join() === text, { withinMs: 20_000, what: `the list ${text}` })
}

describe('a name in the addresses file', () => {
  test('stands for all of its addresses, each a node; the spelling of the file wins where it lists one itself', async () => {
    await gateway.ready(2)
    await becomes(first, `http://${second}/`)
    const handedOut = (await request(`${gateway.url}/api/v1/ips?container=echo&n=9`)).json<string[]>()
    assert.deepEqual(handedOut.sort(), [first, `http://${second}/`].sort())
  })

  test('gives its options to all of its nodes', async () => {
    const stats = (await statsOf(gateway, { address: first! })) as unknown as { concurrency: number }
    assert.equal(stats.concurrency, 7)
  })

  test('that is written badly is a bad line, with its reason', () => {
    const bad = gateway.logs.filter(({ message }) => message?.startsWith('bad line') === true)
    assert.deepEqual(
      bad.map(({ text }) => text),
      ['dns://nodes.test:4000/base', 'dns://'],
    )
    for (const { reason } of bad) assert.match(String(reason), /dns:\/\/name/)
  })

  test('that does not resolve has no nodes, and one warning says so', async () => {
    await gateway.waitForLog(
      ({ message, name }) => message?.includes('no node') === true && name === `dns://empty.test:${port}`,
    )
    await resolvesTo({ 'nodes.test': HOSTS, 'empty.test': 'ENOTFOUND' })
    await becomes(first, `http://${second}/`, third, fourth)
    const warnings = gateway.logs.filter(({ level, name }) => level === 'warn' && name === `dns://empty.test:${port}`)
    assert.equal(warnings.length, 1)
  })

  test('keeps its nodes while it does not resolve, and the log names the failure and its end', async () => {
    await resolvesTo({ 'nodes.test': 'EAI_AGAIN', 'empty.test': 'ENOTFOUND' })
    await gateway.waitForLog(({ message }) => message?.includes('keeping its last nodes') === true)
    await becomes(first, `http://${second}/`, third, fourth)
    await resolvesTo({ 'nodes.test': HOSTS.slice(0, 3), 'empty.test': 'ENOTFOUND' })
    await becomes(first, `http://${second}/`, third)
    await gateway.waitForLog(({ message }) => message === 'DNS name resolves again')
  })

  test('that loses more than half of its addresses is believed after five seconds', async () => {
    const startedMs = performance.now()
    await resolvesTo({ 'nodes.test': HOSTS.slice(3), 'empty.test': 'ENOTFOUND' })
    await gateway.waitForLog(
      ({ level, message }) => level === 'warn' && message?.startsWith('answer for a DNS name lost') === true,
    )
    await becomes(`http://${second}/`, fourth)
    assert.ok(performance.now() - startedMs >= 5000)
  })

  test('has its nodes leave with its line', async () => {
    await gateway.setNodes([second!])
    await becomes(second)
  })

  test('may be one that the hosts file knows, and its port is 80 where none is given', async () => {
    const local = await startFakeNode({}, file)
    await gateway.setNodes([second!, `dns://localhost:${local.port}`, 'DNS://LOCALHOST/'])
    await eventually(async () => {
      const names = await listed()
      return names.includes(local.address) && names.includes('127.0.0.1:80')
    })
    assert.equal((await statsOf(gateway, local)).name, local.address)
  })
})
