import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { openRaw, openStream, request } from '../kit/http.ts'
import type { OpenStream } from '../kit/http.ts'
import { startFakeNode } from '../kit/fakeNode/index.ts'
import type { FakeNode } from '../kit/fakeNode/index.ts'
import { eventually } from '../kit/wait.ts'

function stream(node: FakeNode, data: object, more: object = {}): Promise<OpenStream> {
  return openStream(`${node.url}/api/jobs/stream`, { body: { containers: ['echo'], data, ...more } })
}

async function jobOf(node: FakeNode, id: string): Promise<{ status: string; result: unknown }> {
  const { body } = await request(`${node.url}/api/jobs?id=${id}`)
  return (JSON.parse(body.toString()) as { status: string; result: unknown }[])[0]!
}

test('the id comes at once, as a piece of its own, before any output', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  const open = await stream(node, { pieces: 2, firstMs: 150, pieceMs: 30 })
  assert.equal(open.headers['content-type'], 'text/html; charset=utf-8')
  assert.equal(open.headers['transfer-encoding'], 'chunked')
  const first = (await open.next())!
  assert.match(first.bytes.toString(), /^[0-9a-f-]{36}\n$/)
  assert.equal((await open.ended).complete, true)
  assert.deepEqual(
    open.pieces.slice(1).map((piece) => piece.bytes.toString()),
    ['piece0 ', 'piece1 '],
  )
  const gapMs = open.pieces[1]!.atMs - first.atMs
  assert.ok(gapMs >= 75, `${gapMs} ms`)
})

test('without pauses the id line is still in a chunk of its own', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  const raw = await openRaw(node.url, { t })
  const body = '{"containers":["echo"],"data":{"pieces":["a","b"]},"id":"me"}'
  raw.send(
    `POST /api/jobs/stream HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  )
  const received = await raw.until((text) => text.endsWith('0\r\n\r\n'))
  assert.equal(received.split('\r\n\r\n').slice(1).join('|'), '3\r\nme\n\r\n1\r\na\r\n1\r\nb\r\n0|')
})

test('the full output is stored as the result', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  const open = await stream(node, { pieces: 2, text: 'é ', sse: true }, { id: 's' })
  await open.ended
  const output = { output: 'data: é \n\ndata: é \n\n' }
  assert.deepEqual(await jobOf(node, 's'), { id: 's', result: { container: 'echo', output }, status: 'success' })
})

test('without a script the stream is the input itself', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  const open = await stream(node, { a: 1 }, { id: 's' })
  await open.ended
  assert.equal(open.text, 's\n{"a":1}')
})

describe('a container that fails', () => {
  test('ends its stream as if complete; only the state tells', async (t) => {
    const node = await startFakeNode({ rateLimit: 0 }, t)
    const open = await stream(node, { pieces: 5, failAfter: 2 }, { id: 's' })
    assert.equal((await open.ended).complete, true)
    assert.equal(open.text, 's\npiece0 piece1 ')
    assert.equal((await jobOf(node, 's')).status, 'failed')
  })
  test('can be commanded too', async (t) => {
    const node = await startFakeNode({ rateLimit: 0 }, t)
    await node.failAmidStream(1, { times: 1 })
    const open = await stream(node, { pieces: 5 }, { id: 's' })
    assert.equal((await open.ended).complete, true)
    assert.equal(open.text, 's\npiece0 ')
  })
})

test('a connection that dies amid a stream is broken off after so many pieces', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  await node.dieAmidStream(2)
  const open = await stream(node, { pieces: 5, pieceMs: 10 }, { id: 's' })
  assert.equal((await open.ended).complete, false)
  assert.equal(open.text, 's\npiece0 piece1 ')
  assert.equal((await jobOf(node, 's')).status, 'running')
})

test('a stream that stalls says no more and stays open', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  await node.stallAmidStream(1)
  const open = await stream(node, { pieces: 5 }, { id: 's' })
  await open.until((text) => text.endsWith('piece0 '))
  const still = Symbol('still open')
  assert.equal(await Promise.race([open.ended, new Promise((resolve) => setTimeout(resolve, 100, still))]), still)
  assert.deepEqual(node.load, { pending: 1, running: 1, waiting: 0 })
})

test('a stream whose client leaves is noticed at once, gives its place back, and stays pending', async (t) => {
  const node = await startFakeNode({ concurrency: 1, rateLimit: 0 }, t)
  const open = await stream(node, { pieces: 1000, pieceMs: 20 }, { id: 's' })
  await open.until((text) => text.includes('piece1'))
  assert.equal((await node.counts()).activeStreams, 1)
  const left = node.next('clientLeft')
  open.destroy()
  assert.equal((await left).endpoint, 'stream')
  assert.deepEqual(node.load, { pending: 1, running: 0, waiting: 0 })
  assert.equal((await node.counts()).activeStreams, 0)
  assert.equal((await jobOf(node, 's')).status, 'running')
})

test('left streams need not stay pending', async (t) => {
  const node = await startFakeNode({ leftStreamsStayPending: false, rateLimit: 0 }, t)
  const open = await stream(node, { pieces: 1000, pieceMs: 20 })
  await open.next()
  const left = node.next('clientLeft')
  open.destroy()
  await left
  assert.equal(node.load.pending, 0)
})

test('a stream over its time is cut without its end and stays pending', async (t) => {
  const node = await startFakeNode({ streamLimit: 0.1, rateLimit: 0 }, t)
  const open = await stream(node, { pieces: 1000, pieceMs: 20 }, { id: 's' })
  const { complete, atMs } = await open.ended
  assert.equal(complete, false)
  assert.ok(atMs >= 99 && atMs < 3000, `${atMs} ms`)
  assert.equal((await jobOf(node, 's')).status, 'running')
})

test('streams wait for a place like jobs', async (t) => {
  const node = await startFakeNode({ concurrency: 1, rateLimit: 0 }, t)
  const first = await stream(node, { pieces: 1000, pieceMs: 10 })
  await first.until((text) => text.includes('piece0'))
  const second = await stream(node, { text: 'mine' }, { id: 'second' })
  await second.next()
  assert.deepEqual(node.load, { pending: 2, running: 1, waiting: 1 })
  first.destroy()
  await second.ended
  assert.equal(second.text, 'second\nmine')
})

test('only the first container of a stream runs', async (t) => {
  const node = await startFakeNode({ containers: ['echo', { id: 'inner', external: false }], rateLimit: 0 }, t)
  const open = await stream(node, { text: 'x' }, { containers: ['echo', 'inner'], id: 's' })
  await open.ended
  assert.deepEqual((await jobOf(node, 's')).result, { container: 'echo', output: { output: 'x' } })
})

test('a slow reader holds the stream back instead of filling the memory', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  const raw = await openRaw(node.url, { t })
  const body = '{"containers":["echo"],"data":{"pieces":4000,"pieceBytes":65536}}'
  raw.socket.pause()
  raw.send(
    `POST /api/jobs/stream HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  )
  await node.next('jobStarted')
  let before = -1
  // Steady: as many pieces written as half a second ago.
  await eventually(
    async () => {
      const { pieces = 0 } = (await node.jobs())[0]!
      const isSteady = pieces > 0 && pieces === before
      before = pieces
      return isSteady
    },
    { everyMs: 500 },
  )
  assert.ok(before < 4000, `${before} pieces`)
})

test('a container that is no UTF-8 delivers all its bytes, and its job has failed', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  const raw = await openRaw(node.url, { t })
  // Two bytes of a three-byte character, cut by the size of the piece.
  const body = '{"containers":["echo"],"id":"s","data":{"text":"€","pieceBytes":2}}'
  const length = Buffer.byteLength(body)
  raw.send(
    `POST /api/jobs/stream HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n${body}`,
  )
  assert.match(await raw.until((text) => text.endsWith('0\r\n\r\n')), /2\r\n\xe2\x82\r\n0\r\n\r\n$/)
  assert.equal((await jobOf(node, 's')).status, 'failed')
})
