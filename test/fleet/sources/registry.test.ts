import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import type { NodeSpec } from '../../../src/fleet/address.ts'
import { Registry } from '../../../src/fleet/sources/registry.ts'
import { startExplorer, type ExplorerAnswer } from './fakeExplorer.ts'
import { keepLines, type KeptLine } from './logLines.ts'

interface Asked {
  /** Undefined where there was no list. */
  readonly specs: readonly NodeSpec[] | undefined
  readonly lines: readonly KeptLine[]
  readonly requests: readonly string[]
}

/** Asks a registry that answers so, once. */
async function ask(t: TestContext, answer: ExplorerAnswer, allowPrivate = true): Promise<Asked> {
  const fake = await startExplorer(t)
  fake.says(answer)
  const { logger, lines } = keepLines()
  const registry = new Registry({ registryUrl: `${fake.url}/`, intervalSeconds: 3600, allowPrivate }, logger)
  t.after(() => registry.stop())
  let specs: readonly NodeSpec[] | undefined
  await registry.start((list) => (specs = list))
  registry.stop()
  return { specs, lines, requests: fake.requests }
}

/** As a babysitter of InfiniLM registers the server that it looks after. */
const entry = (more: object = {}): object => ({
  name: 'svc-server',
  host: '10.0.0.1',
  hostname: '10.0.0.1',
  port: 8100,
  url: 'http://10.0.0.1:8100',
  status: 'running',
  timestamp: '2026-01-18T00:00:00',
  last_heartbeat: 1_768_694_400.5,
  health_status: 'unknown',
  is_healthy: true,
  metadata: {
    type: 'openai-api',
    parent_service: 'svc',
    models: ['Qwen3-32B'],
    models_list: [{ id: 'Qwen3-32B', object: 'model', created: 1 }],
  },
  ...more,
})

const listing = (...services: unknown[]): ExplorerAnswer => ({ body: { services, total: services.length } })

const namesOf = (specs: readonly NodeSpec[] | undefined): string[] | undefined => specs?.map(({ name }) => name)

describe('what a registry lists', () => {
  test('is asked for as InfiniLM’s router asks, and is a service with its models, weight and metadata', async (t) => {
    const { specs, lines, requests } = await ask(t, listing(entry({ weight: 3 })))
    assert.deepEqual(requests, ['/services?healthy=true'])
    assert.deepEqual(specs, [
      {
        kind: 'openai',
        key: 'openai:svc-server@http://10.0.0.1:8100',
        name: 'svc-server',
        origin: 'http://10.0.0.1:8100',
        basePath: '',
        models: ['Qwen3-32B'],
        weight: 3,
        metadata: { type: 'openai-api', parent_service: 'svc' },
        yields: true,
      },
    ])
    assert.deepEqual(lines, [])
  })

  test('need not say more than its host and port, or its url', async (t) => {
    const { specs } = await ask(
      t,
      listing(
        { name: 'a', host: '10.0.0.1', port: 8100 },
        { name: 'b', url: 'http://10.0.0.2:8100/v1/' },
        { host: '2001:db8::1', port: '8100', metadata: null, weight: 0 },
      ),
    )
    assert.deepEqual(
      specs?.map(({ name, origin, basePath, models, weight }) => [name, origin + basePath, models, weight]),
      [
        ['a', 'http://10.0.0.1:8100', undefined, undefined],
        ['b', 'http://10.0.0.2:8100', undefined, undefined],
        ['http://[2001:db8::1]:8100', 'http://[2001:db8::1]:8100', undefined, undefined],
      ],
    )
  })

  test('that serves nothing, or is not healthy, is passed over without a word', async (t) => {
    const babysitter = entry({ name: 'svc', url: 'http://10.0.0.1:8101', metadata: { type: 'babysitter' } })
    const ill = entry({ name: 'ill', url: 'http://10.0.0.3', is_healthy: false })
    const { specs, lines } = await ask(t, listing(babysitter, entry(), ill))
    assert.deepEqual([namesOf(specs), lines], [['svc-server'], []])
    assert.deepEqual((await ask(t, listing(babysitter))).specs, [])
  })

  test('is one service where it is listed under two names, or two addresses under one', async (t) => {
    const { specs } = await ask(
      t,
      listing(
        entry(),
        entry({ name: 'again', url: 'http://10.0.0.1:8100/' }),
        entry({ url: 'http://10.0.0.2' }),
        entry({ name: 'mapped', url: 'http://[::ffff:10.0.0.1]:8100' }),
      ),
    )
    assert.deepEqual(namesOf(specs), ['svc-server'])
  })

  test('is skipped entry by entry where it is no address, and the log says how many', async (t) => {
    const bad = [
      null,
      'svc',
      {},
      entry({ url: 'ftp://10.0.0.2' }),
      entry({ url: 'http://user:hush@10.0.0.2' }),
      entry({ url: '', host: '', port: 1 }),
      entry({ url: 7, host: '10.0.0.2', port: 99_999 }),
      entry({ metadata: { type: 'openai-api', note: 'x'.repeat(70_000) } }),
    ]
    const { specs, lines } = await ask(t, listing(...bad, entry()))
    assert.deepEqual(namesOf(specs), ['svc-server'])
    assert.equal(lines.find(({ level }) => level === 'warn')?.fields['skipped'], bad.length)
    assert.doesNotMatch(JSON.stringify(lines), /hush/)
  })

  test('keeps no more metadata than is bearable', async (t) => {
    const { specs } = await ask(t, listing(entry({ metadata: { type: 'openai-api', note: 'x'.repeat(3000) } })))
    assert.deepEqual(specs?.[0]?.metadata, { type: 'openai-api' })
  })

  test('may lie in private ranges, or be a name, only where that is allowed', async (t) => {
    const urls = ['http://127.0.0.1:1', 'http://10.0.0.1', 'http://[::1]:1', 'http://localhost:1', 'http://llm.example']
    const services = [...urls, 'http://8.8.8.8:8100'].map((url, n) => ({ name: `s${n}`, url }))
    assert.deepEqual(namesOf((await ask(t, listing(...services), false)).specs), ['s5'])
    assert.equal((await ask(t, listing(...services))).specs?.length, 6)
  })
})

describe('an answer of a registry that is no list keeps the last good one, and the log says so', () => {
  for (const [what, answer] of [
    ['an outage', { ...listing(entry()), status: 503 }],
    ['a web page', { body: '<html>' }],
    ['a bare list', { body: [entry()] }],
    ['the list of an explorer', { body: { data: [] } }],
    ['entries without an address', listing({ name: 'a' }, { name: 'b' })],
    ['a redirect', { ...listing(), status: 307, headers: { location: '/elsewhere' } }],
    ['six megabytes', { body: { services: [], padding: 'x'.repeat(6_000_000) } }],
  ] as const) {
    test(`where it is ${what}`, async (t) => {
      const { specs, lines, requests } = await ask(t, answer)
      assert.equal(specs, undefined)
      assert.deepEqual(
        lines.map(({ level, message }) => [level, message]),
        [['warn', 'registry gave no usable list, keeping the last good one']],
      )
      assert.equal(requests.length, 1)
    })
  }
})
