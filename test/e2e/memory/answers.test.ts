/** Collected answers are bounded until their clients have taken them; streamed ones wait at the backend and take no memory. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { entryOf, gatewayFor, gatewayForServices } from '../../kit/builders/gateways.ts'
import { finishedEntry, jobOf, subscriptionFor } from '../../kit/builders/jobs.ts'
import { openRaw, post, request } from '../../kit/http.ts'
import type { RawConnection } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { eventually } from '../../kit/wait.ts'
import type { Cleanup } from '../../kit/wait.ts'
import { askChat, chat, startHandService } from '../openai/support.ts'
import { startScriptedNode } from '../jobs/scriptedNode.ts'
import { statsOf } from '../support.ts'
import {
  allIsGivenBack,
  announced,
  assertNoRoom,
  callersHold,
  holdsExactly,
  MB,
  memoryStats,
  OTHER,
  SMALL_BUDGET,
  stalledUpload,
} from './support.ts'

/** More than the kernel takes off the gateway's hands. */
const LARGE = 12 * MB
/** One caller may hold two such answers, and a little more. */
const ROOM_FOR_TWO = { MEMORY_BUDGET: '100mb', MAX_BODY: '2mb' }

const file = { after }
const node = await startFakeNode({ rateLimit: 0 }, file)
const gateway = await gatewayFor(file, [node], ROOM_FOR_TWO)

/** Posts by a connection that reads nothing until it is told to. */
async function unread(
  url: string,
  path: string,
  body: object | string,
  t: Cleanup,
  headers: readonly string[] = [],
): Promise<RawConnection> {
  const connection = await openRaw(url, { t })
  connection.socket.pause()
  const bytes = typeof body === 'string' ? body : JSON.stringify(body)
  const head = [`POST ${path} HTTP/1.1`, 'Host: x', announced(bytes.length), ...headers]
  connection.send(`${head.join('\r\n')}\r\n\r\n${bytes}`)
  return connection
}

describe('answers of a node that their client does not read', () => {
  const large = { body: JSON.stringify({ error: 'x'.repeat(LARGE) }) }
  const size = large.body.length

  test('count until they are read; one without room is 503, its node stays healthy, and others are served', async (t) => {
    await node.answer(400, 'submit', { ...large, times: 3 })
    const clients = [
      await unread(gateway.url, '/api/jobs', jobOf(), t),
      await unread(gateway.url, '/api/jobs', jobOf(), t),
    ]
    await holdsExactly(gateway, 2 * size)

    const refused = await post(`${gateway.url}/api/jobs`, jobOf())
    assert.match(assertNoRoom(refused), /may have been carried out/)
    assert.equal(refused.headers['x-infernet-node'], node.address)
    const { healthy, error_count, in_flight } = await statsOf(gateway, node)
    assert.deepEqual({ healthy, error_count, in_flight }, { healthy: true, error_count: 0, in_flight: 0 })

    const other = await post(`${gateway.url}/api/jobs`, jobOf(), { localAddress: OTHER })
    assert.equal(other.status, 200, other.text)

    clients[0]?.socket.resume()
    await holdsExactly(gateway, size)
    clients[1]?.socket.destroy()
    await allIsGivenBack(gateway)
  })

  test('of a caller who has no room left still tell the id of a job that was accepted', async (t) => {
    await node.answer(400, 'submit', { ...large, times: 2 })
    for (let i = 1; i <= 2; i++) await unread(gateway.url, '/api/jobs', jobOf(), t)
    await holdsExactly(gateway, 2 * size)
    const room = 25 * MB - 2 * size
    const filler = await stalledUpload(gateway, t, { headers: [announced(room - 400)] })
    await holdsExactly(gateway, 25 * MB - 400)
    const jobs = await Promise.all(Array.from({ length: 3 }, () => post(`${gateway.url}/api/jobs`, jobOf())))
    for (const { status, text } of jobs) assert.equal(status, 200, text)
    const batch = await post(`${gateway.url}/api/jobs/batch`, [jobOf(), jobOf()])
    assert.equal(batch.status, 200, batch.text)
    filler.socket.destroy()
  })
})

test('answers of nodes to batches count too', async (t) => {
  await node.answer(400, 'batch', { body: JSON.stringify({ error: 'x'.repeat(LARGE) }), times: 3 })
  for (let i = 1; i <= 2; i++) await unread(gateway.url, '/api/jobs/batch', [jobOf()], t)
  await eventually(async () => (await callersHold(gateway)) >= 2 * LARGE, { what: 'two answers in memory' })
  assertNoRoom(await post(`${gateway.url}/api/jobs/batch`, [jobOf()]))
})

test('kept answers that are given again count until they are read, and stay kept where there is no room', async (t) => {
  const chained = await startFakeNode({ rateLimit: 0, chain: true }, t)
  const gateway = await gatewayFor(t, [chained], ROOM_FOR_TWO)
  const body = JSON.stringify({ filler: 'x'.repeat(LARGE) })
  await chained.answer(200, 'submit', { body, times: 1 })
  const headers = { 'Idempotency-Key': 'once' }
  const submission = subscriptionFor(['echo'])
  const first = await post(`${gateway.url}/api/jobs`, submission, { headers })
  assert.equal(first.text.length, body.length)
  await allIsGivenBack(gateway)

  const again: RawConnection[] = []
  for (let i = 1; i <= 2; i++) {
    again.push(await unread(gateway.url, '/api/jobs', submission, t, ['Idempotency-Key: once']))
    await holdsExactly(gateway, i * body.length)
  }
  assertNoRoom(await post(`${gateway.url}/api/jobs`, submission, { headers }))
  for (const { socket } of again) socket.destroy()
  await allIsGivenBack(gateway)
  const replayed = await post(`${gateway.url}/api/jobs`, submission, { headers })
  assert.equal(replayed.headers['idempotent-replayed'], 'true')
  assert.equal(replayed.text.length, body.length)
})

test('results count by what is in memory of them while they are unread; one without room is 503 and stays kept', async (t) => {
  const output = JSON.stringify('x'.repeat(LARGE))
  const scripted = await startScriptedNode(t, 'echo', (response, ids) =>
    response.end(`[${ids.map((id) => finishedEntry(id, output)).join()}]`),
  )
  // Room for two parts of a result, and a little more.
  const gateway = await gatewayFor(t, [scripted], { ...SMALL_BUDGET, MEMORY_BUDGET: '9mb' })
  const jobs = `${gateway.url}/api/jobs`
  const { id } = (await post(jobs, jobOf())).json<{ id: string }>()
  const isEnded = async (): Promise<boolean> => (await request(`${jobs}?pending=true`)).text === '[]'
  await eventually(isEnded, { withinMs: 30_000, what: 'the end of the job' })
  await allIsGivenBack(gateway)

  const clients: RawConnection[] = []
  // Asked for twice in one request it takes no more room.
  for (const query of [`id=${id}`, `id=${id}&id=${id}`]) {
    const connection = await openRaw(gateway.url, { t })
    connection.socket.pause()
    connection.send(`GET /api/jobs?${query} HTTP/1.1\r\nHost: x\r\n\r\n`)
    clients.push(connection)
    const least = clients.length * MB
    await eventually(async () => (await callersHold(gateway)) >= least, { what: `${least} bytes in use` })
    assert.ok((await callersHold(gateway)) < least + 10_000)
  }
  assertNoRoom(await request(`${jobs}?id=${id}`))
  assert.equal((await request(jobs)).text, JSON.stringify([id]))

  for (const { socket } of clients) socket.destroy()
  await allIsGivenBack(gateway)
  const read = await request(`${jobs}?id=${id}`)
  assert.ok(read.status === 200 && read.text.includes(output))
  await allIsGivenBack(gateway)
})

describe('answers of OpenAI-compatible services', () => {
  test('that their clients do not read wait at the service and take no memory, streamed or not', async (t) => {
    const service = await startHandService(t)
    const gateway = await gatewayForServices(t, [entryOf(service)], SMALL_BUDGET)
    const clients: RawConnection[] = []
    const body = Buffer.alloc(LARGE, 'x')
    for (let i = 0; i < 20; i++) {
      clients.push(await unread(gateway.url, '/v1/chat/completions', chat(), t))
      const { response } = await service.next()
      if (i % 2 === 0) response.setHeader('Content-Length', body.length)
      response.end(body)
    }
    const { used_bytes } = await memoryStats(gateway)
    assert.ok(used_bytes < 20_000, `${used_bytes} bytes in use`)
    for (const { socket } of clients) socket.destroy()
    await allIsGivenBack(gateway)
  })

  test('that are held back to see whether another service takes the request are passed on where they are large', async (t) => {
    const service = await startHandService(t)
    const gateway = await gatewayForServices(t, [entryOf(service)], SMALL_BUDGET)
    const asking = askChat(gateway)
    const { response } = await service.next()
    response.writeHead(503).end(Buffer.alloc(3 * MB, 'x'))
    const answer = await asking
    assert.equal(answer.status, 503)
    assert.equal(answer.text.length, 3 * MB)
    await allIsGivenBack(gateway)
  })
})

test('results that are larger than the whole budget are fetched all the same, from several nodes at once', async (t) => {
  const output = `"${'x'.repeat(10 * MB)}"`
  const nodes = await Promise.all(
    [1, 2, 3].map(() =>
      startScriptedNode(t, 'echo', (response, ids) => {
        response.end(`[${ids.map((id) => finishedEntry(id, output)).join()}]`)
      }),
    ),
  )
  const gateway = await gatewayFor(t, nodes, SMALL_BUDGET)
  const submitted = await Promise.all(nodes.map(() => post(`${gateway.url}/api/jobs`, jobOf())))
  const ids = submitted.map((answer) => answer.json<{ id: string }>().id)
  const haveEnded = async (): Promise<boolean> => (await request(`${gateway.url}/api/jobs?pending=true`)).text === '[]'
  await eventually(haveEnded, { withinMs: 30_000, what: 'the results' })
  for (const id of ids) assert.ok((await request(`${gateway.url}/api/jobs?id=${id}`)).text.includes(output))
  await allIsGivenBack(gateway)
})
