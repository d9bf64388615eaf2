import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { startGateway } from '../../kit/builders/gateways.ts'
import { request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import type { LocalFakeNode } from '../../kit/fakeNode/index.ts'
import { eventually } from '../../kit/wait.ts'
import { assertError } from '../support.ts'

const file = { after }

async function nodeWith(
  containers: (string | { id: string; external?: boolean; description?: string })[],
  pending = 0,
) {
  const node = await startFakeNode({ rateLimit: 0, containers }, file)
  await node.set({ shownPending: { offchain: pending } })
  return node
}

// As busy as their order: the polls come faster than what is pending would be thought to be done.
const free = await nodeWith(['ranked', 'a', { id: 'outer', description: 'begins' }])
const busy = await nodeWith(['ranked', 'a', 'b', 'outer'], 40)
const busier = await nodeWith(['ranked', 'b', 'outer', { id: 'inner', external: false }], 120)
const busiest = await nodeWith(['ranked', { id: 'inner', external: false, description: 'follows' }], 360)
const dead = await nodeWith(['ranked', 'a', 'lost'])
await dead.refuse()
const byAge = [free, busy, busier, busiest, dead]
const gateway = await startGateway(file, {
  // Listed the other way round: the order is of the score, not of the list.
  nodes: [...byAge].reverse(),
  env: { REFRESH_INTERVAL: '0.5' },
  healthy: 4,
})

const addresses = (...nodes: LocalFakeNode[]): string[] => nodes.map((node) => node.address)

function ips(query: string): ReturnType<typeof request> {
  return request(`${gateway.url}/api/v1/ips${query}`)
}

async function found(query: string): Promise<string[]> {
  const answer = await ips(query)
  assert.equal(answer.status, 200, answer.text)
  return answer.json<string[]>()
}

describe('GET /api/v1/ips', () => {
  test('gives the best first, by the routing score, healthy ones only', async () => {
    assert.deepEqual(await found('?container=ranked&n=9'), addresses(free, busy, busier, busiest))
    const { services } = (await request(`${gateway.url}/stats`)).json<{
      services: { name: string; healthy: boolean; score: number }[]
    }>()
    const byScore = services.filter(({ healthy }) => healthy).sort((a, b) => a.score - b.score)
    assert.deepEqual(
      byScore.map(({ name }) => name),
      addresses(free, busy, busier, busiest),
    )
  })

  test('gives three unless told how many', async () => {
    assert.deepEqual(await found('?container=ranked'), addresses(free, busy, busier))
    assert.deepEqual(await found('?container=ranked&n=1'), addresses(free))
    assert.deepEqual(await found('?container=ranked&n=0'), [])
    assert.equal((await found('?container=ranked&n=100000000000000000000')).length, 4)
  })

  test('leaves out as many as told, from the best on', async () => {
    assert.deepEqual(await found('?container=ranked&offset=1'), addresses(busy, busier, busiest))
    assert.deepEqual(await found('?container=ranked&n=1&offset=2'), addresses(busier))
    assert.deepEqual(await found('?container=ranked&n=3&offset=3'), addresses(busiest))
    assert.deepEqual(await found('?container=ranked&n=3&offset=4'), [])
    assert.deepEqual(await found('?container=ranked&offset=100000000000000000000'), [])
  })

  test('gives nodes that run all the containers, in whatever order', async () => {
    assert.deepEqual(await found('?container=a&container=b&n=9'), addresses(busy))
    assert.deepEqual(await found('?container=b&container=a&n=9'), addresses(busy))
    assert.deepEqual(await found('?container=ranked&container=b&n=9'), addresses(busy, busier))
  })

  test('wants the first container external; the others may be inner ones', async () => {
    assert.deepEqual(await found('?container=outer&container=inner&n=9'), addresses(busier))
    assert.deepEqual(await found('?container=inner&container=outer&n=9'), [])
    assert.deepEqual(await found('?container=inner&n=9'), [])
  })

  test('gives an empty list where nobody fits', async () => {
    assert.deepEqual(await found('?container=nowhere'), [])
    assert.deepEqual(await found('?container=a&container=nowhere'), [])
    assert.deepEqual(await found('?container=lost'), [])
    assert.deepEqual(await found('?container=a%0Ab'), [])
    assert.deepEqual(await found('?container=a&container=b'), addresses(busy), 'whatever strange names were asked for')
  })

  test('without a container is a 400', async () => {
    for (const query of ['', '?', '?n=3', '?container=', '?container=&container=', '?containers=ranked']) {
      assert.equal(assertError(await ips(query), 400), 'No containers specified', query)
    }
  })

  test('with n or offset that is no whole number ≥ 0 is a 400 that names it', async () => {
    for (const value of ['-1', '1.5', 'three', '', '1e3', '0x10', '+1', '%201', 'NaN']) {
      assert.match(assertError(await ips(`?container=ranked&n=${value}`), 400), /^n /, value)
      assert.match(assertError(await ips(`?container=ranked&offset=${value}`), 400), /^offset /, value)
    }
  })

  test('reads the query as clients encode it', async () => {
    const named = await startFakeNode({ containers: ['ns/my model+1&2'] }, file)
    await gateway.setNodes([...addresses(...byAge), named.address])
    await eventually(async () => (await found('?container=ns%2Fmy+model%2B1%262')).length === 1, { withinMs: 20_000 })
    assert.deepEqual(await found('?container=ns/my%20model%2B1%262'), addresses(named))
  })
})

describe('GET /api/v1/ip', () => {
  const ip = (query: string): ReturnType<typeof request> => request(`${gateway.url}/api/v1/ip${query}`)

  test('gives the one best address', async () => {
    const answer = await ip('?container=ranked')
    assert.equal(answer.status, 200)
    assert.deepEqual(answer.json(), { ip: free.address })
    assert.deepEqual((await ip('?container=b')).json(), { ip: busy.address })
    assert.deepEqual((await ip('?container=outer&container=inner')).json(), { ip: busier.address })
  })

  test('without a container gives any healthy node', async () => {
    const { ip: any } = (await ip('')).json<{ ip: string }>()
    assert.notEqual(any, dead.address)
    assert.equal((await ip('?container=')).status, 200)
  })

  test('where nobody fits is a 503 that says when to come again', async () => {
    for (const query of ['?container=nowhere', '?container=inner', '?container=lost', '?container=a&container=lost']) {
      const answer = await ip(query)
      assert.match(assertError(answer, 503), /No healthy node runs/, query)
      assert.ok(Number(answer.headers['retry-after']) >= 1)
    }
  })
})

describe('GET /api/v1/containers', () => {
  test('counts the healthy nodes that run each container, and describes it where a node does', async () => {
    const answer = await request(`${gateway.url}/api/v1/containers`)
    assert.equal(answer.status, 200)
    const all = answer.json<{ id: string; count: number; description?: string }[]>()
    assert.deepEqual(
      all.filter(({ id }) => !id.startsWith('ns/')).sort((one, two) => (one.id < two.id ? -1 : 1)),
      [
        { id: 'a', count: 2 },
        { id: 'b', count: 2 },
        { id: 'inner', count: 2, description: 'follows' },
        { id: 'outer', count: 3, description: 'begins' },
        { id: 'ranked', count: 4 },
      ],
    )
  })

  test('follows what nodes run', async () => {
    await free.set({ containers: ['ranked', 'new'] })
    await eventually(async () => (await found('?container=new')).length === 1, { withinMs: 20_000 })
    const all = (await request(`${gateway.url}/api/v1/containers`)).json<{ id: string; count: number }[]>()
    assert.equal(all.find(({ id }) => id === 'a')?.count, 1)
    assert.equal(all.find(({ id }) => id === 'new')?.count, 1)
    assert.deepEqual(await found('?container=a&n=9'), addresses(busy))
  })
})

test('a node that goes down is handed out and counted no more', async () => {
  await busiest.refuse()
  await eventually(async () => !(await found('?container=ranked&n=9')).includes(busiest.address), { withinMs: 20_000 })
  const all = (await request(`${gateway.url}/api/v1/containers`)).json<{ id: string; count: number }[]>()
  assert.equal(all.find(({ id }) => id === 'ranked')?.count, 3)
  assert.equal(all.find(({ id }) => id === 'inner')?.count, 1)
})

test('where all nodes are gone /api/v1/ip is a 503 and /api/v1/ips an empty list', async () => {
  await gateway.setNodes([])
  await eventually(async () => (await found('?container=ranked')).length === 0, { withinMs: 20_000 })
  assertError(await request(`${gateway.url}/api/v1/ip`), 503)
  assert.deepEqual((await request(`${gateway.url}/api/v1/containers`)).json(), [])
  assert.deepEqual((await request(`${gateway.url}/api/v1/resources`)).json(), {})
})
