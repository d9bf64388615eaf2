/** What happens where a backend closes a connection that is kept open while nothing is asked. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { describe, test } from 'node:test'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { GatewayFault } from '../../src/faults.ts'
import type { TrackedNode } from '../../src/fleet/node.ts'
import { Attempt, collect } from '../../src/upstream/attempt.ts'
import type { BackendRequest } from '../../src/upstream/answer.ts'
import { IdleLimit } from '../../src/upstream/idleCloses.ts'
import { Transport } from '../../src/upstream/transport.ts'
import { trackedNode } from '../kit/builders/fleets.ts'
import { eventually, type Cleanup } from '../kit/wait.ts'

const GET: BackendRequest = { method: 'GET', path: '/', headers: [], body: null }
const POST: BackendRequest = { method: 'POST', path: '/', headers: [], body: Buffer.from('{}') }

interface Backend {
  readonly node: TrackedNode
  readonly transport: Transport
  /** Requests on each connection, in the order of the connections. */
  readonly requests: number[]
  readonly sockets: Socket[]
}

/** What a backend does with a request: the nth, from 1, on its connection. */
type Serve = (socket: Socket, nth: number) => void

async function backend(t: Cleanup, serve: Serve): Promise<Backend> {
  const requests: number[] = []
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    const index = sockets.push(socket) - 1
    requests.push(0)
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => {
      // A head with its small body comes in one piece or two.
      if (/^(GET|POST) /.test(chunk.toString('latin1'))) serve(socket, ++requests[index]!)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const transport = new Transport({ connectTimeoutSeconds: 60, answerTimeoutSeconds: 60, idleTimeoutSeconds: 60 })
  t.after(async () => {
    await transport.close()
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const node = trackedNode(`127.0.0.1:${(server.address() as AddressInfo).port}`)
  return { node, transport, requests, sockets }
}

const answer = (socket: Socket): void => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')

/** As a backend whose idle time-out is over at the moment at which the second request arrives. */
const closesTheReused =
  (how: 'reset' | 'close'): Serve =>
  (socket, nth) => {
    if (nth === 1) answer(socket)
    else if (how === 'reset') socket.resetAndDestroy()
    else socket.end()
  }

/** Sends a request; how it ended, in a word. */
async function send({ node, transport }: Backend, request: BackendRequest, acceptsSecondRun = false): Promise<string> {
  const attempt = new Attempt()
  attempt.acceptsSecondRun = acceptsSecondRun
  transport.dispatch(node, request, attempt)
  const result = await attempt.result
  await connectionIsFree()
  return result.kind === 'fault' ? result.fault.code : result.kind
}

/** A connection takes the next request a turn of the event loop after its answer. */
async function connectionIsFree(): Promise<void> {
  for (let turns = 0; turns < 3; turns++) await nextTurn()
}

describe('a reused connection that is closed before any byte of an answer', () => {
  for (const how of ['reset', 'close'] as const) {
    test(`makes a GET go once more, on a fresh connection (${how})`, async (t) => {
      const it = await backend(t, closesTheReused(how))
      assert.equal((await collect(it.transport, it.node, GET)).kind, 'answer')
      await connectionIsFree()
      assert.equal((await collect(it.transport, it.node, GET)).kind, 'answer')
      assert.deepEqual(it.requests, [2, 1])
    })

    test(`makes a POST that accepts a second run go once more (${how})`, async (t) => {
      const it = await backend(t, closesTheReused(how))
      for (let i = 0; i < 3; i++) assert.equal(await send(it, POST, true), 'answer')
    })

    test(`ends any other POST, which may have been taken (${how})`, async (t) => {
      const it = await backend(t, closesTheReused(how))
      assert.equal(await send(it, POST), 'answer')
      assert.equal(await send(it, POST), 'ERR_NODE_RESET')
      assert.deepEqual(it.requests, [2])
    })
  }

  test('makes a request go once more only once', async (t) => {
    let requests = 0
    const it = await backend(t, (socket) => (++requests === 1 ? answer(socket) : void socket.resetAndDestroy()))
    assert.equal(await send(it, GET), 'answer')
    assert.equal(await send(it, GET), 'ERR_NODE_RESET')
    assert.deepEqual(it.requests, [2, 1])
  })
})

test('a first request whose connection is closed is not sent again', async (t) => {
  const it = await backend(t, (socket) => void socket.resetAndDestroy())
  assert.equal(await send(it, GET), 'ERR_NODE_RESET')
  assert.deepEqual(it.requests, [1])
})

test('an answer that breaks off on a reused connection is not asked for again', async (t) => {
  const it = await backend(t, (socket, nth) => {
    if (nth === 1) answer(socket)
    else socket.write('HTTP/1.1 200 OK\r\n', () => socket.resetAndDestroy())
  })
  assert.equal(await send(it, GET), 'answer')
  assert.equal(await send(it, GET), 'ERR_NODE_RESET')
  assert.deepEqual(it.requests, [2])
})

test('a request whose client leaves during the second run is cancelled there', async (t) => {
  const it = await backend(t, (socket, nth) => {
    if (nth === 1 && it.sockets.length === 1) answer(socket)
    else if (it.sockets.length === 1) socket.resetAndDestroy()
  })
  assert.equal(await send(it, GET), 'answer')
  const attempt = new Attempt()
  it.transport.dispatch(it.node, GET, attempt)
  await eventually(() => it.requests.length === 2 && it.requests[1] === 1)
  attempt.abort(new GatewayFault('ERR_CLIENT_GONE'))
  const result = await attempt.result
  assert.equal(result.kind === 'fault' && result.fault.code, 'ERR_CLIENT_GONE')
  await eventually(() => it.sockets[1]!.destroyed)
})

test('a backend that closes idle connections is learnt from: after a few, ours are closed first', async (t) => {
  const idleMs = 400
  let closedByBackend = 0
  const it = await backend(t, (socket) => {
    answer(socket)
    const timer = setTimeout(() => {
      closedByBackend++
      socket.end()
    }, idleMs)
    socket.on('close', () => clearTimeout(timer))
  })
  // Two closes after about the same time teach it. On a busy machine these times may differ, and it takes some more.
  for (let tries = 0; tries < 20; tries++) {
    const before = closedByBackend
    assert.equal(await send(it, POST), 'answer')
    await eventually(() => it.sockets.at(-1)!.destroyed)
    if (closedByBackend > before) continue
    assert.ok(closedByBackend >= 2, `closed by us after ${closedByBackend} closes of the backend`)
    return
  }
  assert.fail('the backend was the first to close each time')
})

test('a backend that says when it closes is believed at once', async (t) => {
  const it = await backend(t, (socket) => {
    const timer = setTimeout(() => socket.destroy(new Error('the backend was first')), 20_000)
    socket.on('close', () => clearTimeout(timer))
    socket.write('HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok')
  })
  assert.equal(await send(it, POST), 'answer')
  // Rejects where the backend is the first to close.
  await once(it.sockets[0]!, 'end')
})

describe('the limit of idle connections', () => {
  test('follows two closes after the same time, at different moments', async () => {
    const limit = new IdleLimit(4000)
    assert.equal(limit.closed(2000), false)
    await sleep(150)
    assert.equal(limit.closed(2010), true)
    assert.equal(limit.ms, 1510)
  })

  test('does not follow closes after different times, nor many at one moment, as at a restart', async () => {
    const limit = new IdleLimit(4000)
    for (const idleMs of [300, 310, 320]) assert.equal(limit.closed(idleMs), false)
    await sleep(150)
    assert.equal(limit.closed(3000), false)
    assert.equal(limit.ms, 4000)
  })
})
