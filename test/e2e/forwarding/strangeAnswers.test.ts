/** Answers of nodes that are not what an answer should be: what the client gets, and that no other request pays for it. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { after, describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { post } from '../../kit/http.ts'
import { eventually } from '../../kit/wait.ts'
import { assertError, statsOf } from '../support.ts'
import { answerOf, startWireNode, type WireAnswer } from '../wireNode.ts'

const file = { after }
const node = await startWireNode(file)
const gateway = await gatewayFor(file, [node], { PROXY_TIMEOUT: '20' })

const accepted = (): string => answerOf(JSON.stringify({ id: randomUUID() }))
const saying =
  (bytes: string, end = false): WireAnswer =>
  (socket) =>
    void (end ? socket.end(bytes, 'latin1') : socket.write(bytes, 'latin1'))

const NOT_HTTP = 'The node gave an answer that is not valid HTTP'
const BROKE = 'The response ended prematurely'
const LENGTH = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n'

/** What a node sends, and whether it then closes. */
const REFUSED: Record<string, [error: string, bytes: string, closes?: boolean]> = {
  'two different lengths': [NOT_HTTP, `${LENGTH}Content-Length: 3\r\n\r\n{}`],
  'the same length twice': [NOT_HTTP, `${LENGTH}Content-Length: 2\r\n\r\n{}`],
  'a length and chunks': [NOT_HTTP, `${LENGTH}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`],
  'chunks and a length': [NOT_HTTP, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}'],
  'a length that is no number': [NOT_HTTP, 'HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}'],
  'a change of protocol': [NOT_HTTP, 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'],
  'a change of protocol without naming one': [NOT_HTTP, 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
  'a status of zero': [NOT_HTTP, 'HTTP/1.1 000 Nothing\r\nContent-Length: 2\r\n\r\n{}'],
  'a status above 599': [NOT_HTTP, 'HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\n{}'],
  'a status of two digits': [NOT_HTTP, 'HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\n{}'],
  'a body without a head': [NOT_HTTP, '{"id":"no-head"}', true],
  'a status line without a version': [NOT_HTTP, '200 OK\r\n\r\n', true],
  'a version to come': [NOT_HTTP, 'HTTP/3.7 200 OK\r\nContent-Length: 2\r\n\r\n{}'],
  'a header line without a colon': [NOT_HTTP, 'HTTP/1.1 200 OK\r\nnonsense\r\n\r\n{}'],
  'a control character in a header': [NOT_HTTP, 'HTTP/1.1 200 OK\r\nX-A: \x01\r\nContent-Length: 2\r\n\r\n{}'],
  'a head without an end': [NOT_HTTP, `HTTP/1.1 200 OK\r\nX-Long: ${'a'.repeat(200_000)}`],
  'an interim answer and then nonsense': [NOT_HTTP, 'HTTP/1.1 103 Early Hints\r\n\r\nnonsense\r\n\r\n'],
  'an interim answer and then the end': [
    'The node closed the connection before responding',
    'HTTP/1.1 100 C\r\n\r\n',
    true,
  ],
  'half a status line': ['The node closed the connection before responding', 'HTTP/1.1 1', true],
  'a chunk size that is none': [BROKE, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n'],
  'a chunk longer than it says': [BROKE, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n'],
  'fewer bytes than announced': [BROKE, 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}', true],
}

describe('a node that answers a job with', () => {
  for (const [what, [error, bytes, closes = false]] of Object.entries(REFUSED)) {
    test(`${what}: 502, "${error}", and the next job is served`, async () => {
      node.answers(saying(bytes, closes))
      assert.equal(assertError(await post(`${gateway.url}/api/jobs`, jobOf()), 502), error)
      node.answers((socket) => socket.write(accepted()))
      assert.equal((await post(`${gateway.url}/api/jobs`, jobOf())).status, 200)
      assert.equal((await statsOf(gateway, node)).in_flight, 0)
    })
  }
})

describe('a node may answer with', () => {
  const id = (): string => `{"id":"${randomUUID()}"}`
  const fine: Record<string, (body: string) => string> = {
    'an unasked 100 Continue first': (body) => `HTTP/1.1 100 Continue\r\n\r\n${answerOf(body)}`,
    'several interim answers first': (body) =>
      `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-B: 1\r\n\r\nHTTP/1.1 100\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${answerOf(body)}`,
    'HTTP/1.0': (body) => answerOf(body, 'HTTP/1.0 200 OK'),
    'no reason after the status': (body) => answerOf(body, 'HTTP/1.1 200'),
    'chunks and trailers': (body) =>
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\nX-T: 1\r\n\r\n`,
  }
  for (const [what, answer] of Object.entries(fine)) {
    for (const pieces of ['in one piece', 'byte by byte']) {
      test(`${what}, ${pieces}`, async () => {
        const body = id()
        const bytes = answer(body)
        node.answers((socket) => {
          socket.setNoDelay(true)
          if (pieces === 'in one piece') return void socket.write(bytes)
          const writeFrom = (at: number): void => {
            if (at < bytes.length) socket.write(bytes.slice(at, at + 1), () => setImmediate(writeFrom, at + 1))
          }
          writeFrom(0)
        })
        const got = await post(`${gateway.url}/api/jobs`, jobOf())
        assert.equal(got.status, 200, got.text)
        assert.equal(got.text, body)
      })
    }
  }

  test('an unusual status, which passes through', async () => {
    node.answers(saying(answerOf('{"error":"odd"}', 'HTTP/1.1 599 Odd')))
    const got = await post(`${gateway.url}/api/jobs`, jobOf())
    assert.equal(got.status, 599)
    assert.equal(got.text, '{"error":"odd"}')
  })

  test('pieces that look like an interim answer, which stay part of the stream', async () => {
    const line = `${randomUUID()}\n`
    const fake = 'HTTP/1.1 100 Continue\r\n\r\nnot an answer'
    node.answers((socket) => {
      socket.write(`HTTP/1.0 200 OK\r\n\r\n${line}`)
      setTimeout(() => socket.end(fake), 50)
    })
    const got = await post(`${gateway.url}/api/jobs/stream`, jobOf())
    assert.equal(got.text, line + fake)
  })
})

describe('more than one answer to a request', () => {
  const surpluses: Record<string, (bytes: string) => WireAnswer> = {
    'in one piece': (bytes) => saying(bytes + answerOf('{"id":"surplus"}')),
    'in two pieces': (bytes) => (socket) => {
      socket.write(bytes)
      setImmediate(() => socket.write(answerOf('{"id":"surplus"}')))
    },
    'with nonsense behind it': (bytes) => saying(`${bytes}surplus`),
    'with an interim answer behind it': (bytes) => saying(`${bytes}HTTP/1.1 100 Continue\r\n\r\n`),
  }
  for (const [what, surplus] of Object.entries(surpluses)) {
    test(`is never taken for the answer to the next: ${what}`, async () => {
      let closed: Promise<unknown> | undefined
      node.answers((socket, body) => {
        closed = once(socket, 'close')
        const { data } = JSON.parse(body) as { data: { n: string } }
        surplus(answerOf(JSON.stringify({ id: data.n })))(socket, body)
      })
      for (let i = 0; i < 10; i++) {
        const n = randomUUID()
        const got = await post(`${gateway.url}/api/jobs`, jobOf({ n }))
        assert.equal(got.status, 200, got.text)
        assert.equal(got.json<{ id: string }>().id, n)
        // What arrives after the next request was sent cannot be told from its answer.
        if (what === 'in two pieces') await closed
      }
    })
  }

  test('and what comes while the connection rests closes it, and nothing else', async () => {
    let closed = false
    node.answers((socket) => {
      socket.write(accepted())
      setTimeout(() => socket.write(answerOf('{"id":"surplus"}')), 100)
      socket.on('close', () => (closed = true))
    })
    assert.equal((await post(`${gateway.url}/api/jobs`, jobOf())).status, 200)
    await eventually(() => closed)
    node.answers((socket) => socket.write(accepted()))
    const got = await post(`${gateway.url}/api/jobs`, jobOf())
    assert.equal(got.status, 200)
    assert.notEqual(got.json<{ id: string }>().id, 'surplus')
  })
})

test('an answer that comes before the body was read is the answer', async () => {
  const body = `{"id":"${randomUUID()}"}`
  node.answers(saying(answerOf(body)))
  const got = await post(`${gateway.url}/api/jobs`, jobOf({ long: 'x'.repeat(3_000_000) }))
  assert.equal(got.text, body)
})
