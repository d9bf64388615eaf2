import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { post, request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { eventually } from '../../kit/wait.ts'

const file = { after }
const [one, two] = await Promise.all([
  startFakeNode({ rateLimit: 0, containers: ['echo', { id: 'llm', models: ['org/a'] }], version: '1.4.0' }, file),
  startFakeNode(
    {
      ...{ rateLimit: 0, chain: true, walletAddress: '0xabc', version: '1.10.0' },
      containers: [
        { id: 'llm', models: ['org/b'] },
        { id: 'inner', external: false, description: 'Inner' },
      ],
    },
    file,
  ),
])
await Promise.all([
  one.set({ shownPending: { offchain: 3, onchain: 1 } }),
  two.set({ shownPending: { offchain: 4, onchain: 2 } }),
])
const gateway = await gatewayFor(file, [one, two], { REFRESH_INTERVAL: '0.3' })

/** What the contract calls "within a second", in milliseconds, and some more for a busy machine. */
const SOON_MS = 2500

interface Info {
  version: string
  containers: { id: string; description: string; external: boolean; image: string }[]
  pending: { offchain: number; onchain: number }
  chain: { enabled: boolean; address: string }
}

describe('/info is the fleet as one node', () => {
  test('the union of containers, the sum of what is pending, the chain if any node has one', async () => {
    const info = (await request(`${gateway.url}/info`)).json<Info>()
    assert.deepEqual(info.containers.map(({ id }) => id).sort(), ['echo', 'inner', 'llm'])
    assert.deepEqual(
      info.containers.find(({ id }) => id === 'inner'),
      { id: 'inner', description: 'Inner', external: false, image: 'example/inner:1' },
    )
    assert.deepEqual(info.pending, { offchain: 7, onchain: 3 })
    assert.deepEqual(info.chain, { enabled: true, address: '0xabc' })
    assert.equal(typeof info.version, 'string')
    assert.deepEqual(Object.keys(info).sort(), ['chain', 'containers', 'pending', 'version'])
  })

  test('costs the nodes nothing: it is what their polls told', async () => {
    await one.hang('info')
    const startMs = performance.now()
    for (let i = 0; i < 20; i++) assert.equal((await request(`${gateway.url}/info`)).status, 200)
    assert.ok(performance.now() - startMs < SOON_MS)
    await one.behave()
  })
})

describe('/resources is the union of all nodes’', () => {
  type Resources = Record<string, Record<string, unknown>>
  const resources = async (query = ''): Promise<Resources> =>
    (await request(`${gateway.url}/resources${query}`)).json<Resources>()

  test('of all their containers', async () => {
    assert.deepEqual(Object.keys(await resources()).sort(), ['echo', 'inner', 'llm'])
  })

  test('a model is supported if any node says so', async () => {
    for (const model of ['org/a', 'org/b']) {
      const { llm, echo } = await resources(`?model_id=${encodeURIComponent(model)}`)
      assert.equal(llm!['supported'], true, model)
      assert.equal(echo!['supported'], false)
    }
    assert.equal((await resources('?model_id=org/c'))['llm']!['supported'], false)
  })

  test('a model’s name goes to the nodes as one, whatever is in it', async () => {
    const model = 'a b&c=d/é?#%'
    await resources(`?model_id=${encodeURIComponent(model)}`)
    const seen = one.seen('resources').at(-1)!
    assert.equal(new URL(seen.url, 'http://x').searchParams.get('model_id'), model)
  })

  test('comes soon, though a node says nothing: from the others, and what is known', async () => {
    await two.hang('resources')
    const startMs = performance.now()
    const found = await resources('?model_id=org/new')
    assert.ok(performance.now() - startMs < SOON_MS)
    assert.deepEqual(Object.keys(found).sort(), ['echo', 'llm'])
    await two.behave()
  })

  test('comes although a node answers nonsense', async () => {
    for (const body of ['[]', 'null', '{"echo":5}', 'nonsense']) {
      await two.answer(200, 'resources', { times: 1, body })
      const found = await resources(`?model_id=${encodeURIComponent(`of ${body}`)}`)
      assert.deepEqual(Object.keys(found).sort(), ['echo', 'llm'], body)
    }
  })
})

describe('GET /api/jobs', () => {
  const from = { localAddress: '127.0.0.71' }
  const submit = async (containers: string[], data = {}): Promise<string> =>
    (await post(`${gateway.url}/api/jobs`, jobOf(data, containers), from)).json<{ id: string }>().id
  const get = async (query: string, who = from): Promise<unknown> =>
    (await request(`${gateway.url}/api/jobs${query}`, who)).json()

  test('lists the caller’s own jobs, and nobody else’s, nor those that another gives the node', async () => {
    const ids = [await submit(['echo']), await submit(['llm']), await submit(['echo'], { seconds: 600 })]
    await post(`${one.url}/api/jobs`, jobOf())
    await post(`${gateway.url}/api/jobs`, jobOf(), { localAddress: '127.0.0.72' })
    assert.deepEqual(((await get('')) as string[]).sort(), [...ids].sort())
    await eventually(async () => ((await get('?pending=false')) as string[]).length === 2)
    assert.deepEqual(await get('?pending=true'), [ids[2]])
    const stranger = { localAddress: '127.0.0.73' }
    assert.deepEqual(await get('', stranger), [])
    assert.deepEqual(await get(`?id=${ids[0]}&id=${ids[2]}`, stranger), [])
  })

  test('tells of jobs in the order asked, and leaves out what it does not know', async () => {
    const ids = [await submit(['echo']), await submit(['llm']), await submit(['echo'])]
    const query = `?id=${ids[2]}&id=unknown&id=${ids[0]}&id=${ids[1]}`
    const told = (await get(query)) as { id: string }[]
    assert.deepEqual(
      told.map(({ id }) => id),
      [ids[2], ids[0], ids[1]],
    )
  })
})
