import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { infoText } from '../../kit/builders/infos.ts'
import { serve } from '../../kit/serve.ts'
import { request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { eventually } from '../../kit/wait.ts'
import { assertError } from '../support.ts'

const file = { after }
const first = await startFakeNode(
  {
    rateLimit: 0,
    version: '1.4.0',
    containers: [
      { id: 'shared', models: ['m1'], image: 'example/shared:1' },
      { id: 'only-first', models: ['m2'], description: 'of the first' },
    ],
  },
  file,
)
const second = await startFakeNode(
  {
    rateLimit: 0,
    version: '1.10.0',
    chain: true,
    walletAddress: '0xabc',
    containers: [
      { id: 'shared', models: ['m2'], image: 'example/shared:1' },
      { id: 'constructor', models: [], external: false },
    ],
  },
  file,
)
await first.set({ shownPending: { offchain: 3, onchain: 1 } })
await second.set({ shownPending: { offchain: 4 } })
const down = await startFakeNode({ containers: ['lost'], chain: true }, file)
await down.refuse()
const gateway = await gatewayFor(file, [first, second], { REFRESH_INTERVAL: '0.5' })
await gateway.setNodes([first, second, down].map((node) => node.address))

type Entry = Record<string, unknown>

async function get<T>(path: string): Promise<T> {
  const answer = await request(gateway.url + path)
  assert.equal(answer.status, 200, answer.text)
  return answer.json<T>()
}

describe('/info', () => {
  test('shows the healthy nodes as one', async () => {
    const info = await get<{ containers: Entry[] }>('/info')
    assert.deepEqual(
      { ...info, containers: info.containers.map(({ id, external, description }) => ({ id, external, description })) },
      {
        version: '1.10.0',
        containers: [
          { id: 'shared', external: true, description: '' },
          { id: 'only-first', external: true, description: 'of the first' },
          { id: 'constructor', external: false, description: '' },
        ],
        pending: { offchain: 7, onchain: 1 },
        chain: { enabled: true, address: '0xabc' },
      },
    )
    assert.deepEqual(info.containers[0], {
      id: 'shared',
      description: '',
      external: true,
      image: 'example/shared:1',
    })
  })

  test('follows the polls', async () => {
    await second.set({ chain: false, shownPending: { offchain: 10, onchain: 2 } })
    await eventually(async () => {
      const { chain, pending } = await get<{ chain: Entry; pending: Entry }>('/info')
      return chain['enabled'] === false && pending['offchain'] === 13 && pending['onchain'] === 3
    })
  })
})

describe('/api/v1/resources', () => {
  test('gives what each healthy node can do, by address', async () => {
    const all = await get<Record<string, Record<string, Entry>>>('/api/v1/resources')
    assert.deepEqual(Object.keys(all).sort(), [first.address, second.address].sort())
    assert.deepEqual(Object.keys(all[first.address]!), ['only-first', 'shared'])
    assert.deepEqual(all[first.address], (await request(`${first.url}/resources`)).json())
  })

  test('asked for a model, says who supports it', async () => {
    const expected: Record<string, Record<string, Entry>> = {
      [first.address]: { 'only-first': { supported: false }, shared: { supported: true } },
      [second.address]: { constructor: { supported: false }, shared: { supported: false } },
    }
    assert.deepEqual(await get('/api/v1/resources?model_id=m1'), expected)
    assert.ok(first.seen('resources').some(({ url }) => url === '/resources?model_id=m1'))
    for (const [path, odd] of [
      ['/api/v1/resources', 'a/b c&d=é'],
      ['/resources', 'a b&c=d/é?#%'],
    ] as const) {
      await get(`${path}?model_id=${encodeURIComponent(odd)}`)
      const { url } = first.seen('resources').at(-1)!
      assert.equal(new URL(url, 'http://node').searchParams.get('model_id'), odd)
    }
  })

  test('a model_id too long to be one is a 400', async () => {
    for (const path of ['/api/v1/resources', '/resources']) {
      const answer = await request(`${gateway.url}${path}?model_id=${'m'.repeat(1001)}`)
      assert.match(assertError(answer, 400), /model_id/)
    }
  })

  test('an empty model_id is none', async () => {
    assert.deepEqual(await get('/api/v1/resources?model_id='), await get('/api/v1/resources'))
  })
})

describe('/resources', () => {
  test('gives the union of all containers', async () => {
    const all = await get<Record<string, Entry>>('/resources')
    assert.deepEqual(Object.keys(all).sort(), ['constructor', 'only-first', 'shared'])
  })

  test('says that a model is supported if any node says so', async () => {
    for (const [model, supported] of [
      ['m1', { shared: true, 'only-first': false }],
      ['m2', { shared: true, 'only-first': true }],
      ['m3', { shared: false, 'only-first': false }],
    ] as const) {
      const all = await get<Record<string, Entry>>(`/resources?model_id=${model}`)
      assert.deepEqual(all, {
        shared: { supported: supported.shared },
        'only-first': { supported: supported['only-first'] },
        constructor: { supported: false },
      })
    }
  })

  test('asks a node once a second at the most, however many ask', async () => {
    const asked = first.seen('resources').length
    const startedAt = performance.now()
    await Promise.all(Array.from({ length: 20 }, () => get('/resources?model_id=many')))
    const seconds = Math.ceil((performance.now() - startedAt) / 1000)
    assert.ok(first.seen('resources').length - asked <= seconds)
  })

  test('is a second old at the most where the nodes answer at once', async () => {
    let supported = false
    const address = await serve(file, ({ url }, response) =>
      response.end(url === '/info' ? infoText() : JSON.stringify({ echo: { supported } })),
    )
    const alone = await gatewayFor(file, [{ address }])
    const supports = async (): Promise<boolean> => {
      const all = (await request(`${alone.url}/resources?model_id=m`)).json<{ echo: { supported: boolean } }>()
      return all.echo.supported
    }
    assert.equal(await supports(), false)
    supported = true
    // On a busy machine much later than a second.
    await eventually(supports)
  })
})

describe('a node that hangs', () => {
  /** Well above the two or three seconds that clients wait, for a busy machine. The node itself never answers. */
  const LONG_MS = 15_000

  /** Milliseconds that the answer took, and the answer. */
  async function timed<T>(path: string): Promise<{ ms: number; value: T }> {
    const startedAt = performance.now()
    const value = await get<T>(path)
    return { ms: performance.now() - startedAt, value }
  }

  test('delays nobody for longer than clients wait; what others say is there, and what it said before', async () => {
    const before = await get<Record<string, Entry>>('/resources?model_id=m1')
    await second.hang('resources')
    const known = await timed('/resources?model_id=m1')
    assert.deepEqual(known.value, before)

    const listed = await timed<Record<string, Entry>>('/api/v1/resources?model_id=new')
    assert.deepEqual(Object.keys(listed.value), [first.address])
    assert.ok(listed.ms < LONG_MS, `${listed.ms} ms`)
    const merged = await timed<Record<string, Entry>>('/resources?model_id=newer')
    assert.deepEqual(Object.keys(merged.value).sort(), ['only-first', 'shared'])
    for (const { ms } of [known, merged]) assert.ok(ms < LONG_MS, `${ms} ms`)
  })

  test('for a second and a half is waited for by /api/v1/resources, whose clients have the time', async () => {
    const address = await serve(file, ({ url }, response) => {
      setTimeout(() => response.end(url === '/info' ? infoText() : '{"echo":{}}'), url === '/info' ? 0 : 1500)
    })
    const { url } = await gatewayFor(file, [{ address }])
    assert.deepEqual((await request(`${url}/api/v1/resources`)).json(), { [address]: { echo: {} } })
  })

  test('at its /info is answered for from what is known', async () => {
    await second.hang('info')
    const { ms, value } = await timed<{ containers: Entry[] }>('/info')
    assert.ok(ms < LONG_MS, `${ms} ms`)
    assert.ok(value.containers.some(({ id }) => id === 'constructor'))
  })

  test('an answer that is no list of containers counts as none', async () => {
    let nonsense = ''
    const address = await serve(file, ({ url }, response) => response.end(url === '/info' ? infoText() : nonsense))
    await gateway.setNodes([first.address, address])
    await eventually(async () => (await get<Entry[]>('/api/v1/containers')).some(({ id }) => id === 'echo'))
    for (const [i, text] of ['<html>', 'null', '[]', '{"a":1}', '{"a":null}', '"a"', 'nonsense'].entries()) {
      nonsense = text
      const all = await get<Record<string, Entry>>(`/api/v1/resources?model_id=nonsense-${i}`)
      assert.deepEqual(Object.keys(all), [first.address], text)
    }
  })
})
