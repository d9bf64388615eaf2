import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import { tellFirstSteps, type FirstSteps } from '../../src/observability/firstSteps.ts'
import { tempDir, type Cleanup } from '../kit/wait.ts'

interface Told {
  message: string
  fields: unknown
}

/** What is told at a start with this addresses file; without one where it is undefined. */
async function toldFor(t: Cleanup, ips: string | undefined, more: Partial<FirstSteps> = {}) {
  const ipsFile = path.join(await tempDir(t), 'ips.txt')
  if (ips !== undefined) await writeFile(ipsFile, ips)
  const told: Told[] = []
  const note = (message: string, fields?: unknown): void => void told.push({ message, fields })
  const logger = { debug: note, info: note, warn: note, error: note, isDebug: false, flush: async () => {} }
  const steps = { ipsFile, servicesFile: '', isDiscovering: false, host: '0.0.0.0', port: 4000, ...more }
  tellFirstSteps(steps, logger)
  return { told, ipsFile }
}

test('a start without any address says in one line what to write to which file, and where the dashboard is', async (t) => {
  for (const ips of [undefined, '', '\uFEFF# an address a line\r\n\r\n  # 192.0.2.10:4000\r\n']) {
    const { told, ipsFile } = await toldFor(t, ips)
    const dashboard = 'http://localhost:4000/dashboard'
    assert.deepEqual(
      told.map(({ fields }) => fields),
      [{ file: ipsFile, dashboard }],
    )
    for (const word of [ipsFile, '192.0.2.10:4000', 'SERVICES_FILE', dashboard]) {
      assert.ok(told[0]!.message.includes(word), word)
    }
    assert.doesNotMatch(told[0]!.message, /\n/)
  }
})

test('a start with an address, or with another source of them, says nothing of it', async (t) => {
  for (const ips of ['192.0.2.10:4000', '# first\n\n  node.example']) assert.deepEqual((await toldFor(t, ips)).told, [])
  assert.deepEqual((await toldFor(t, undefined, { isDiscovering: true })).told, [])
  const servicesFile = path.join(await tempDir(t), 'services.json')
  const withServices = async () => (await toldFor(t, undefined, { servicesFile })).told
  assert.match((await withServices())[0]!.message, new RegExp(`services to ${servicesFile};`))
  await writeFile(servicesFile, '[]')
  assert.equal((await withServices()).length, 1)
  await writeFile(servicesFile, '[{"name":"chat","url":"http://192.0.2.20:8000"}]')
  assert.deepEqual(await withServices(), [])
})

test('the dashboard is named by an address that can be opened', async (t) => {
  for (const [host, named] of [
    ['::', 'localhost'],
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '[::1]'],
    ['gateway.example', 'gateway.example'],
  ] as const) {
    const { told } = await toldFor(t, undefined, { host })
    assert.match(told[0]!.message, new RegExp(`http://${named.replace(/[[\]]/g, '\\$&')}:4000/dashboard`))
  }
})
