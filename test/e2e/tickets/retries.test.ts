/** Tickets in the dialect of Vast's SDK since 1.0, which names a request by an index over all its tries. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { startGateway } from '../../kit/builders/gateways.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { post, request } from '../../kit/http.ts'
import type { Answer, RequestOptions } from '../../kit/http.ts'
import { isMissing, workerAccepts } from './worker.ts'

const file = { after }
const [first, second, only, late] = await Promise.all([
  startFakeNode({ containers: ['both'], rateLimit: 0 }, file),
  startFakeNode({ containers: ['both'], rateLimit: 0 }, file),
  startFakeNode({ containers: ['only'], rateLimit: 0 }, file),
  startFakeNode({ containers: ['late'], rateLimit: 0 }, file),
])
const listed = [first, second, only]
const gateway = await startGateway(file, { nodes: listed, env: { REFRESH_INTERVAL: '600' } })

interface Ticket {
  url?: string
  reqnum?: number
  signature?: string
  endpoint: string
  cost?: number
  request_idx: number
  status?: object
}

/** As the SDK asks: with all members. */
const asSdk = (endpoint: string, index: number, more: object = {}): object => ({
  ...{ endpoint, api_key: 'any', cost: 0, request_idx: index, replay_timeout: 60, ...more },
})
const ask = (body: object, options: RequestOptions = {}, { url } = gateway): Promise<Answer> =>
  post(`${url}/route/`, body, options)

async function ticketFor(body: object, options: RequestOptions = {}): Promise<Ticket> {
  const answer = await ask(body, options)
  assert.equal(answer.status, 200, answer.text)
  return answer.json<Ticket>()
}

async function unseenAt(node: { address: string }): Promise<number> {
  const { services } = (await request(`${gateway.url}/stats`)).json<{ services: { name: string; unseen: number }[] }>()
  return services.find(({ name }) => name === node.address)!.unseen
}

describe('a ticket that names its request', () => {
  test('has what a worker of that dialect needs, and one accepts it', { skip: isMissing }, async (t) => {
    const answers = await Promise.all(
      [asSdk('both', 0), { endpoint: 'only', request_idx: 0 }, { endpoint: 'only', replay_timeout: 60.5, cost: 7 }].map(
        (body) => ask(body),
      ),
    )
    for (const answer of answers) {
      const ticket = answer.json<Ticket>()
      assert.deepEqual(Object.keys(ticket), ['url', 'reqnum', 'signature', 'endpoint', 'cost', 'request_idx'])
      assert.ok(Number.isInteger(ticket.request_idx) && ticket.request_idx > 0)
    }
    const indexes = answers.map((answer) => answer.json<Ticket>().request_idx)
    assert.equal(new Set(indexes).size, 3)
    const forged = JSON.stringify({ ...answers[0]!.json<Ticket>(), url: only.url })
    const pem = (await request(`${gateway.url}/pubkey/`)).text
    const accepted = await workerAccepts(t, pem, [...answers.map(({ text }) => text), forged])
    assert.deepEqual(accepted, [true, true, true, false])
  })

  test('keeps its index when it comes again, and goes to another worker where there is one', async () => {
    const { request_idx: index, ...ticket } = await ticketFor(asSdk('both', 0))
    const again = await ticketFor(asSdk('both', index))
    assert.equal(again.request_idx, index)
    assert.notEqual(again.url, ticket.url)
    const third = await ticketFor(asSdk('both', index))
    assert.deepEqual([third.request_idx, third.url], [index, ticket.url])
    assert.equal(third.reqnum! > ticket.reqnum!, true)
  })

  test('counts as load once where it comes again to the same worker', async () => {
    const before = await unseenAt(only)
    const { request_idx: index } = await ticketFor(asSdk('only', 0))
    const once = await unseenAt(only)
    assert.ok(once > before + 0.5, `${before} ${once}`)
    for (let n = 0; n < 10; n++) assert.equal((await ticketFor(asSdk('only', index))).request_idx, index)
    assert.ok((await unseenAt(only)) < once + 1, String(once))
  })

  test('is another request for another caller, for an index that was never given, and after its time', async () => {
    const { request_idx: index } = await ticketFor(asSdk('only', 0, { replay_timeout: 0 }))
    assert.ok((await ticketFor(asSdk('only', index))).request_idx > index, 'its time is over')
    const { request_idx: mine } = await ticketFor(asSdk('only', 0))
    assert.ok((await ticketFor(asSdk('only', mine), { localAddress: '127.0.0.2' })).request_idx > mine)
    assert.equal((await ticketFor(asSdk('only', mine))).request_idx, mine)
    for (const unknown of [mine + 1_000_000, 2 ** 60]) {
      assert.ok((await ticketFor(asSdk('only', unknown))).request_idx < unknown)
    }
  })
})

describe('where no worker is ready', () => {
  test('the answer has no url, and the request gets its ticket as soon as there is one', async () => {
    const waiting = await ticketFor(asSdk('late', 0))
    const { request_idx: index, ...rest } = waiting
    assert.deepEqual(rest, { endpoint: 'late', status: { healthy: 3, unhealthy: 0, total: 3 } })
    assert.ok(index > 0)
    // It waits for the worker, which is found before the time of the wait is over.
    const asking = ticketFor(asSdk('late', index))
    await gateway.setNodes([...listed, late].map(({ address }) => address))
    let ticket = await asking
    if (ticket.url === undefined) ticket = await ticketFor(asSdk('late', index))
    assert.deepEqual([ticket.request_idx, ticket.url], [index, late.url])
  })
})

test('numbers of requests go on over a restart', async (t) => {
  const durable = await startGateway(t, { nodes: [only], env: { STATE_URL: 'sqlite:data/gateway.db' } })
  const indexOf = async (): Promise<number> => (await ask(asSdk('only', 0), {}, durable)).json<Ticket>().request_idx
  assert.deepEqual([await indexOf(), await indexOf()], [1, 2])
  await durable.kill()
  await durable.restart()
  await durable.ready(1)
  assert.equal(await indexOf(), 3)
})
