import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { after, describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { openRaw, openStream, post, request } from '../../kit/http.ts'
import type { RawConnection } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { eventually, within } from '../../kit/wait.ts'
import { assertError, linesOf, startHandNode } from '../support.ts'

const file = { after }
const [byHand, node] = await Promise.all([startHandNode(file), startFakeNode({ rateLimit: 0 }, file)])
// What is written by hand and what is simulated must not be mixed up: a gateway for each.
const [handGateway, gateway] = await Promise.all([gatewayFor(file, [byHand]), gatewayFor(file, [node])])

const STREAM = '/api/jobs/stream'

/** Opens a stream through the gateway; its other end is the answer that the test writes as the node. */
async function openPair(t: { after(fn: () => void): void }): Promise<[RawConnection, ServerResponse]> {
  const client = await openRaw(handGateway.url, { t })
  const body = JSON.stringify(jobOf())
  client.send(`POST ${STREAM} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
  return [client, await within(byHand.next(), 10_000, () => 'the stream at the node')]
}

/** The chunks of a chunked body, as far as they are there. */
function chunksOf(received: string): string[] {
  const body = received.slice(received.indexOf('\r\n\r\n') + 4)
  const chunks: string[] = []
  for (let at = 0; at < body.length;) {
    const size = parseInt(body.slice(at), 16)
    const start = body.indexOf('\r\n', at) + 2
    chunks.push(body.slice(start, start + size))
    at = start + size + 2
  }
  return chunks
}

describe('pieces', () => {
  test('each reaches the client before the node sends the next', async (t) => {
    const [client, answer] = await openPair(t)
    for (const piece of ['the-id\n', 'one', 'two', 'three']) {
      answer.write(piece)
      await client.until((received) => chunksOf(received).at(-1) === piece)
    }
    answer.end()
    const received = await client.until((text) => text.endsWith('0\r\n\r\n'))
    assert.deepEqual(chunksOf(received), ['the-id\n', 'one', 'two', 'three', ''])
  })

  test('the id line comes first and in a chunk of its own, however the node cuts it', async (t) => {
    const cuts: [node: string[], client: string[]][] = [
      [['cut-1\noutput'], ['cut-1\n', 'output']],
      [
        ['cut', '-2', '\noutput'],
        ['cut-2\n', 'output'],
      ],
      [
        ['cut-3\n', 'output'],
        ['cut-3\n', 'output'],
      ],
      [
        ['cut-4', '\n', 'a\nb\n'],
        ['cut-4\n', 'a\nb\n'],
      ],
      [['cut-5\n'], ['cut-5\n']],
    ]
    for (const [pieces, wanted] of cuts) {
      const [client, answer] = await openPair(t)
      // Each as a chunk that has left before the next is written.
      for (const piece of pieces) await new Promise((resolve) => answer.write(piece, resolve))
      answer.end()
      const received = await client.until((text) => text.endsWith('0\r\n\r\n'))
      assert.deepEqual(chunksOf(received), [...wanted, ''])
    }
  })

  test('an id that comes together with output leaves in a write of its own', async (t) => {
    const isAlone = async (attempt: number): Promise<boolean> => {
      const [client, answer] = await openPair(t)
      let first = ''
      client.socket.once('data', (bytes: Buffer) => (first = bytes.toString()))
      answer.write(`alone-${attempt}\noutput`)
      answer.end()
      await client.until((text) => text.endsWith('0\r\n\r\n'))
      return !first.includes('output')
    }
    // Two writes may still arrive as one where the reader is slow; one write never arrives as two.
    let attempt = 0
    await eventually(() => isAlone(attempt++), { withinMs: 10_000, what: 'an id alone' })
  })

  test('the id line waits for nothing: not for output, not for the end', async () => {
    const open = await openStream(`${gateway.url}${STREAM}`, { body: jobOf({ pieces: 1, firstMs: 60_000 }) })
    const line = await within(open.next(), 10_000, () => 'the id line')
    assert.match(line!.bytes.toString(), /^[0-9a-f-]{36}\n$/)
    open.destroy()
  })

  test('a stream whose first line is no id is a 502', async (t) => {
    const [client, answer] = await openPair(t)
    answer.end('x'.repeat(300))
    const received = await client.until((text) => text.endsWith('}'))
    assert.match(received, /^HTTP\/1\.1 502 [\s\S]+\{"error":"The stream of the node began without an id"\}$/)
  })

  test('an interim answer of the node is not the answer', async (t) => {
    const [client, answer] = await openPair(t)
    answer.writeProcessing()
    await new Promise<void>((resolve) => answer.writeEarlyHints({ link: '</x>; rel=preload' }, resolve))
    answer.end('interim\n')
    const received = await client.until((text) => text.endsWith('interim\n'))
    assert.match(received, /^HTTP\/1\.1 200 OK\r\n/)
  })

  test('an HTTP/1.0 client gets them without chunks', async (t) => {
    const client = await openRaw(gateway.url, { t })
    const body = JSON.stringify(jobOf({ pieces: ['a', 'b'] }))
    client.send(`POST ${STREAM} HTTP/1.0\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    assert.match(await client.closed(), /\r\n\r\n[0-9a-f-]{36}\nab$/)
  })

  test('all are there though the node sends them at once, says how many bytes they are, and closes', async () => {
    const opening = openStream(`${handGateway.url}${STREAM}`, { body: jobOf() })
    const { socket } = await within(byHand.next(), 10_000, () => 'the stream at the node')
    const body = `${randomUUID()}\nall of it`
    socket!.end(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    const open = await opening
    assert.equal((await open.ended).complete, true)
    assert.equal(open.text, body)
  })

  test('bytes of all kinds arrive as they were sent', async () => {
    const pieces = ['é', '日本語', '🙂🙃', '\u0000\u0001', 'data: {"a": 1}\n\n', '\r\n0\r\n\r\n', 'ÿþ']
    const open = await openStream(`${gateway.url}${STREAM}`, { body: jobOf({ pieces }) })
    assert.equal((await open.ended).complete, true)
    assert.equal(open.text.slice(37), pieces.join(''))
  })

  test('a character cut in two by the node is still one for the client', async (t) => {
    const [client, answer] = await openPair(t)
    const smile = Buffer.from('🙂')
    answer.write('halves\n')
    await client.until((text) => text.includes('halves'))
    answer.write(smile.subarray(0, 2))
    await client.until((text) => chunksOf(text).length === 2)
    answer.end(smile.subarray(2))
    const received = await client.until((text) => text.endsWith('0\r\n\r\n'))
    assert.equal(Buffer.from(chunksOf(received).slice(1).join(''), 'latin1').toString(), '🙂')
  })
})

describe('a stream that is long', () => {
  test('arrives whole', async () => {
    const body = jobOf({ pieces: 200, pieceBytes: 65_536, text: 'large ', failAfter: 200 })
    const open = await openStream(`${gateway.url}${STREAM}`, { body })
    assert.equal((await open.ended).complete, true)
    const output = Buffer.concat(open.pieces.map(({ bytes }) => bytes)).subarray(37)
    const wanted = Buffer.alloc(200 * 65_536, 'large '.padEnd(65_536, '.'))
    assert.equal(sha256(output), sha256(wanted))
  })

  test('makes the node wait for a client that does not read, not the gateway’s memory grow', async (t) => {
    const pieces = 1200
    const size = pieces * 65_536
    const before = await residentBytes(gateway.pid)
    const accepted = node.next('jobAccepted')
    const response = await unread(t, jobOf({ pieces, pieceBytes: 65_536, failAfter: pieces }))
    const trace = await accepted
    const written = await settled(() => trace.pieces ?? 0)
    assert.ok(written < pieces * 0.8, `the node has written ${written} of ${pieces} pieces`)
    const grownBy = (await residentBytes(gateway.pid)) - before
    assert.ok(grownBy < size / 2, `the gateway grew by ${grownBy} bytes of ${size}`)
    // And once the client reads, all of it comes.
    let read = 0
    response.on('data', (bytes: Buffer) => (read += bytes.length))
    await once(response, 'end')
    assert.equal(read, size + 37)
  })
})

describe('what a stream may not be', () => {
  test('a subscription is a 405 that no node sees', async () => {
    const body = { subscription: {}, signature: {}, data: {} }
    const seen = node.seen('stream').length
    const error = assertError(await post(`${gateway.url}${STREAM}`, body), 405)
    assert.equal(error, 'Streaming only supported for OffchainJob requests.')
    assert.equal(node.seen('stream').length, seen)
  })

  test('a stream with an Idempotency-Key is a 400', async () => {
    const headers = { 'Idempotency-Key': 'k' }
    assert.match(assertError(await post(`${gateway.url}${STREAM}`, jobOf(), { headers }), 400), /Idempotency-Key/)
  })
})

test('a stream’s job is among its caller’s jobs, with its whole output as the result', async () => {
  const open = await openStream(`${gateway.url}${STREAM}`, { body: jobOf({ pieces: ['a', 'é'] }) })
  await open.ended
  const id = open.text.slice(0, 36)
  const wanted = `[{"id":"${id}","result":{"container":"echo","output":{"output":"a\\u00e9"}},"status":"success"}]`
  await eventually(async () => (await request(`${gateway.url}/api/jobs?id=${id}`)).text === wanted)
})

test('a stream that went well is logged once, with its node', async () => {
  const headers = { 'X-Request-Id': 'well' }
  await (
    await openStream(`${gateway.url}${STREAM}`, { body: jobOf(), headers })
  ).ended
  await gateway.waitForLog((line) => line['requestId'] === 'well')
  const [line, ...more] = linesOf(gateway, 'well')
  assert.deepEqual(more, [])
  assert.equal(line!['node'], node.address)
  assert.equal(line!['fault'], undefined)
})

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** Opens a stream and reads nothing but the head of the answer. */
async function unread(t: { after(fn: () => void): void }, body: object): Promise<IncomingMessage> {
  const headers = { 'Content-Type': 'application/json' }
  const outgoing = httpRequest(`${gateway.url}${STREAM}`, { method: 'POST', headers, agent: false })
  outgoing.end(JSON.stringify(body))
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  t.after(() => response.destroy())
  return response
}

/** The value once it has not changed for half a second. */
async function settled(look: () => number): Promise<number> {
  let last = { value: -1, atMs: 0 }
  await eventually(
    () => {
      const value = look()
      if (value !== last.value) last = { value, atMs: performance.now() }
      return performance.now() - last.atMs > 500
    },
    { withinMs: 20_000, everyMs: 50, what: 'a standstill' },
  )
  return last.value
}

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
}
