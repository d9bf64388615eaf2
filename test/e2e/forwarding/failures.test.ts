import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { openRaw, openStream, post } from '../../kit/http.ts'
import type { OpenStream } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import type { FakeNode } from '../../kit/fakeNode/index.ts'
import { assertError, linesOf, statsOf } from '../support.ts'

const file = { after }
const node = await startFakeNode({ rateLimit: 0 }, file)
const gateway = await gatewayFor(file, [node], { PROXY_TIMEOUT: '1.5', STREAM_IDLE_TIMEOUT: '1.5' })

let requests = 0

/** Waits for the log's one line on a request that failed, and looks whether it says what an operator needs. */
async function assertLogged(requestId: string, fault: string): Promise<void> {
  const line = await gateway.waitForLog((one) => one['requestId'] === requestId)
  assert.equal(line['fault'], fault)
  assert.equal(line['node'], node.address)
  assert.equal(line.level, 'warn')
  assert.equal(typeof line['reason'], 'string')
  // Whatever is said of the request has been said when it was given up.
  await post(`${gateway.url}/api/jobs`, jobOf(), { headers: { 'X-Request-Id': `after-${requestId}` } })
  await gateway.waitForLog((one) => one['requestId'] === `after-${requestId}`)
  assert.equal(linesOf(gateway, requestId).length, 1)
}

async function assertJobFails(status: number, fault: string): Promise<void> {
  const requestId = `job-${++requests}`
  const before = node.seen('submit').length
  const answer = await post(`${gateway.url}/api/jobs`, jobOf(), { headers: { 'X-Request-Id': requestId } })
  assertError(answer, status)
  assert.equal(answer.headers['x-infernet-node'], node.address)
  // Once, and never a second time: nobody can say whether the job runs.
  assert.ok(node.seen('submit').length - before <= 1)
  await assertLogged(requestId, fault)
}

const ANSWERS: Record<string, [misbehave: () => Promise<void>, status: number, fault: string]> = {
  'a reset when the request came': [() => node.break('submit', { times: 1, when: 'request' }), 502, 'ERR_NODE_RESET'],
  'a reset before the answer': [() => node.break('submit', { times: 1 }), 502, 'ERR_NODE_RESET'],
  'a close before the answer': [() => node.break('submit', { times: 1, how: 'close' }), 502, 'ERR_NODE_RESET'],
  'what is no HTTP': [() => node.garbage('submit', { times: 1 }), 502, 'ERR_NODE_NONSENSE'],
  'a header that is none': [
    () => node.garbage('submit', { times: 1, bytes: 'HTTP/1.1 200 OK\r\nno header\r\n\r\n' }),
    502,
    'ERR_NODE_NONSENSE',
  ],
  'an endless header': [
    () => node.garbage('submit', { times: 1, bytes: `HTTP/1.1 200 OK\r\nX: ${'a'.repeat(200_000)}\r\n\r\n` }),
    502,
    'ERR_NODE_NONSENSE',
  ],
  'a close after the head': [() => node.break('submit', { times: 1, when: 'head' }), 502, 'ERR_NODE_BROKE'],
  'a close amid the body': [() => node.break('submit', { times: 1, when: 'body' }), 502, 'ERR_NODE_BROKE'],
  'a reset amid the body': [
    () => node.break('submit', { times: 1, when: 'body', how: 'reset' }),
    502,
    'ERR_NODE_BROKE',
  ],
  'a 200 that names no id': [() => node.answer(200, 'submit', { times: 1, body: '{}' }), 502, 'ERR_NODE_NONSENSE'],
  'a 200 that is no JSON': [() => node.answer(200, 'submit', { times: 1, body: 'fine' }), 502, 'ERR_NODE_NONSENSE'],
  'no first byte in time': [() => node.hang('submit', { times: 1 }), 504, 'ERR_NODE_SILENT'],
  'a body that stops in its midst': [
    () => node.misbehave({ act: 'drip', seconds: 1000 }, 'submit', 1),
    502,
    'ERR_NODE_BROKE',
  ],
}

describe('a job whose node answers with', () => {
  for (const [what, [misbehave, status, fault]] of Object.entries(ANSWERS)) {
    test(`${what} is a ${status}, once, and logged as ${fault}`, async () => {
      await misbehave()
      await assertJobFails(status, fault)
    })
  }
})

test('an answer that is late, but in time, is the answer', async () => {
  await node.late(0.3, 'submit', { times: 1 })
  assert.equal((await post(`${gateway.url}/api/jobs`, jobOf())).status, 200)
})

interface Broken extends OpenStream {
  requestId: string
}

async function openStreamed(data: object): Promise<Broken> {
  const requestId = `stream-${++requests}`
  const headers = { 'X-Request-Id': requestId }
  const open = await openStream(`${gateway.url}/api/jobs/stream`, { body: jobOf(data), headers })
  return Object.assign(open, { requestId })
}

describe('a stream that breaks off at the node', () => {
  for (const dieHow of ['close', 'reset']) {
    test(`by a ${dieHow} breaks off for the client, after all that had come`, async () => {
      const open = await openStreamed({ pieces: 9, pieceMs: 5, dieAfter: 3, dieHow })
      assert.equal(open.status, 200)
      assert.deepEqual((await open.ended).complete, false)
      // A reset may destroy what was still on its way to the gateway.
      if (dieHow === 'close') assert.equal(open.text.slice(37), 'piece0 piece1 piece2 ')
      await assertLogged(open.requestId, 'ERR_NODE_BROKE')
    })
  }

  test('is never ended as if it were complete', async (t) => {
    const client = await openRaw(gateway.url, { t })
    const body = JSON.stringify(jobOf({ pieces: 9, pieceMs: 5, dieAfter: 2 }))
    client.send(`POST /api/jobs/stream HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    const received = await client.closed()
    assert.match(received, /^HTTP\/1\.1 200 [\s\S]+piece1 \r\n$/)
  })

  test('is a reset for an HTTP/1.0 client, to whom an end would be the end of the answer', async (t) => {
    const client = await openRaw(gateway.url, { t })
    const fault = once(client.socket, 'error')
    const body = JSON.stringify(jobOf({ pieces: 9, pieceMs: 50, dieAfter: 2 }))
    client.send(`POST /api/jobs/stream HTTP/1.0\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    assert.match(await client.until((received) => received.includes('piece0')), /^HTTP\/1\.1 200 /)
    assert.equal(((await fault) as [NodeJS.ErrnoException])[0].code, 'ECONNRESET')
  })

  test('right after the id line breaks off too', async () => {
    const open = await openStreamed({ pieces: 9, dieAfter: 0 })
    assert.equal((await open.ended).complete, false)
    assert.match(open.text, /^[0-9a-f-]{36}\n$/)
    await assertLogged(open.requestId, 'ERR_NODE_BROKE')
  })

  test('by silence breaks off after STREAM_IDLE_TIMEOUT', async () => {
    const open = await openStreamed({ pieces: 9, pieceMs: 5, stallAfter: 2 })
    assert.equal((await open.ended).complete, false)
    assert.equal(open.text.slice(37), 'piece0 piece1 ')
    const silentMs = (await open.ended).atMs - open.pieces.at(-1)!.atMs
    assert.ok(silentMs > 1000, `cut after ${silentMs} ms`)
    await assertLogged(open.requestId, 'ERR_NODE_BROKE')
  })
})

test('a stream that is longer than any time-out, but never silent so long, is complete', async () => {
  const open = await openStreamed({ pieces: 7, pieceMs: 300 })
  assert.equal((await open.ended).complete, true)
  assert.equal(open.text.slice(37), 'piece0 piece1 piece2 piece3 piece4 piece5 piece6 ')
})

describe('a stream whose node', () => {
  const cases: Record<string, [misbehave: (node: FakeNode) => Promise<void>, status: number, fault: string]> = {
    'breaks off before the id': [(one) => one.break('stream', { times: 1 }), 502, 'ERR_NODE_RESET'],
    'breaks off after the head': [(one) => one.break('stream', { times: 1, when: 'head' }), 502, 'ERR_NODE_BROKE'],
    'says what is no HTTP': [(one) => one.garbage('stream', { times: 1 }), 502, 'ERR_NODE_NONSENSE'],
    'says nothing in time': [(one) => one.hang('stream', { times: 1 }), 504, 'ERR_NODE_SILENT'],
  }
  for (const [what, [misbehave, status, fault]] of Object.entries(cases)) {
    test(`${what} is a ${status}, as nothing of the answer was written`, async () => {
      await misbehave(node)
      const requestId = `stream-${++requests}`
      const headers = { 'X-Request-Id': requestId }
      assertError(await post(`${gateway.url}/api/jobs/stream`, jobOf(), { headers }), status)
      await assertLogged(requestId, fault)
    })
  }

  test('refuses it passes its refusal on', async () => {
    const body = '{"error": "told so",\n "params": {}}'
    await node.answer(405, 'stream', { times: 1, body })
    const answer = await post(`${gateway.url}/api/jobs/stream`, jobOf())
    assert.equal(answer.status, 405)
    assert.equal(answer.text, body)
  })
})

test('after all of that no place is left taken', async () => {
  assert.equal((await statsOf(gateway, node)).in_flight, 0)
})
