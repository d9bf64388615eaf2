/** How long a try waits: for a connection, for the first byte of an answer, and between two pieces of it. */
import assert from 'node:assert/strict'
import type { RequestListener } from 'node:http'
import { createServer, type AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TrackedNode } from '../../src/fleet/node.ts'
import { GatewayFault, type FaultCode } from '../../src/faults.ts'
import { Attempt, collect, type AttemptResult } from '../../src/upstream/attempt.ts'
import type { AnswerSink, BackendRequest, Flow } from '../../src/upstream/answer.ts'
import { Transport } from '../../src/upstream/transport.ts'
import { trackedNode } from '../kit/builders/fleets.ts'
import { serve } from '../kit/serve.ts'
import { unconnectable } from '../kit/unconnectable.ts'
import { freePort, type Cleanup } from '../kit/wait.ts'

/** The time-out under test, ms, and a time that is surely longer, although shorter than a coarse timer's second. */
const LIMIT_MS = 200
const LONGER_MS = 950
const LONG_SECONDS = 60

const request: BackendRequest = { method: 'GET', path: '/', headers: [], body: null }

interface Limits {
  connect?: number
  answer?: number
  idle?: number
}

/** Connections with these limits in ms; others are long. */
function transportWith(t: Cleanup, { connect, answer, idle }: Limits): Transport {
  const seconds = (ms?: number): number => (ms === undefined ? LONG_SECONDS : ms / 1000)
  const transport = new Transport({
    connectTimeoutSeconds: seconds(connect),
    answerTimeoutSeconds: seconds(answer),
    idleTimeoutSeconds: seconds(idle),
  })
  t.after(() => transport.close())
  return transport
}

async function serving(t: Cleanup, listener: RequestListener): Promise<TrackedNode> {
  return trackedNode(await serve(t, listener))
}

/** A node that sends a byte of its body long before any limit, again and again. */
function dripping(t: Cleanup): Promise<TrackedNode> {
  return serving(t, (_, response) => {
    const timer = setInterval(() => response.write('a'), LIMIT_MS / 8)
    response.on('close', () => clearInterval(timer))
  })
}

/** Takes any answer and forgets it. */
function streamed(): AnswerSink {
  return { begin: () => true, piece: () => undefined, end: () => undefined, broke: () => undefined }
}

function assertFault(result: AttemptResult, code: FaultCode): void {
  assert.equal(result.kind, 'fault')
  assert.equal(result.kind === 'fault' && result.fault.code, code)
}

describe('a time-out below a second acts at its time, never before', () => {
  test('to the first byte of an answer', async (t) => {
    let arrivedAt = 0
    const node = await serving(t, (_, response) => {
      arrivedAt = performance.now()
      setTimeout(() => response.end(), LONGER_MS)
    })
    const startedAt = performance.now()
    assertFault(await collect(transportWith(t, { answer: LIMIT_MS }), node, request), 'ERR_NODE_SILENT')
    assert.ok(arrivedAt > 0)
    assert.ok(performance.now() - startedAt >= LIMIT_MS)
  })

  test('between two pieces of an answer', async (t) => {
    const node = await serving(t, (_, response) => {
      response.write('first')
      setTimeout(() => response.end(), LONGER_MS)
    })
    const startedAt = performance.now()
    assertFault(await collect(transportWith(t, { idle: LIMIT_MS }), node, request), 'ERR_NODE_BROKE')
    assert.ok(performance.now() - startedAt >= LIMIT_MS)
  })

  test('for a connection', async (t) => {
    const node = trackedNode(await unconnectable(t))
    const transport = transportWith(t, { connect: LIMIT_MS })
    const startedAt = performance.now()
    const result = await Promise.race([collect(transport, node, request), sleep(LONGER_MS)])
    assert.ok(result, 'still connecting')
    assertFault(result, 'ERR_NODE_REFUSED')
    assert.ok(performance.now() - startedAt >= LIMIT_MS)
  })
})

test('the wait for the first byte begins when the request is sent, the wait for a piece with the one before', async (t) => {
  const limitMs = 1600
  const node = await serving(t, (_, response) => {
    let pieces = 0
    const timer = setInterval(() => {
      if (++pieces < 6) return void response.write('piece')
      clearInterval(timer)
      response.end()
    }, limitMs / 4)
  })
  const attempt = new Attempt(streamed())
  transportWith(t, { answer: limitMs, idle: limitMs }).dispatch(node, request, attempt)
  assert.equal((await attempt.result).kind, 'streamed')
})

describe('the time to the first byte of an answer', () => {
  test('is also the time for the whole of one that is collected', async (t) => {
    const node = await dripping(t)
    assertFault(await collect(transportWith(t, { answer: LIMIT_MS }), node, request), 'ERR_NODE_SLOW')
    const stopped = await serving(t, (_, response) => void response.write('first'))
    assertFault(await collect(transportWith(t, { answer: LIMIT_MS }), stopped, request), 'ERR_NODE_BROKE')
  })

  test('gives way to the time that a call of our own has', async (t) => {
    const node = await dripping(t)
    const options = { timeoutSeconds: LONGER_MS / 1000 }
    const startedAt = performance.now()
    assertFault(await collect(transportWith(t, { answer: LIMIT_MS }), node, request, options), 'ERR_NODE_BROKE')
    assert.ok(performance.now() - startedAt >= LONGER_MS)
  })

  for (const [what, status] of [
    ['100 Continue', 100],
    ['102 Processing', 102],
    ['103 Early Hints', 103],
  ] as const) {
    test(`is not held up by ${what}`, async (t) => {
      const node = await serving(t, (_, response) => {
        const interim = `HTTP/1.1 ${status} Interim\r\n\r\n`
        const timer = setInterval(() => response.socket?.write(interim), LIMIT_MS / 4)
        response.on('close', () => clearInterval(timer))
      })
      assertFault(await collect(transportWith(t, { answer: LIMIT_MS }), node, request), 'ERR_NODE_SILENT')
    })
  }

  test('is not held up by a head that comes byte by byte', async (t) => {
    const node = await serving(t, (_, response) => {
      response.socket?.write('HTTP/1.1 200 OK\r\nX-Long: ')
      const timer = setInterval(() => response.socket?.write('a'), LIMIT_MS / 4)
      response.on('close', () => clearInterval(timer))
    })
    assertFault(await collect(transportWith(t, { answer: LIMIT_MS }), node, request), 'ERR_NODE_SILENT')
  })

  test('goes on while the node does not take the request', async (t) => {
    const node = await serving(t, (incoming) => void incoming.pause())
    const large = { ...request, method: 'POST' as const, body: Buffer.alloc(30_000_000) }
    assertFault(await collect(transportWith(t, { answer: LIMIT_MS }), node, large), 'ERR_NODE_SILENT')
  })
})

test('the time to connect covers an exchange of keys that never ends', async (t) => {
  const silent = createServer((socket) => socket.on('error', () => undefined).resume())
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  t.after(() => silent.close())
  const node = trackedNode(`https://127.0.0.1:${(silent.address() as AddressInfo).port}`)
  assertFault(await collect(transportWith(t, { connect: LIMIT_MS }), node, request), 'ERR_NODE_REFUSED')
})

test('while the flow is paused the silence does not count, and afterwards it counts anew', async (t) => {
  const node = await serving(t, (_, response) => {
    response.write('first')
    setTimeout(() => response.write('second'), LIMIT_MS / 4)
  })
  const pieces: string[] = []
  let resumedAt = 0
  let flow: Flow
  const sink: AnswerSink = {
    begin: (_status, _headers, given) => {
      flow = given
      return true
    },
    piece: (chunk) => {
      pieces.push(chunk.toString())
      if (pieces.length > 1) return
      flow.pause()
      setTimeout(() => {
        resumedAt = performance.now()
        flow.resume()
      }, LIMIT_MS * 3)
    },
    end: () => undefined,
    broke: () => undefined,
  }
  const attempt = new Attempt(sink)
  transportWith(t, { idle: LIMIT_MS }).dispatch(node, request, attempt)
  assertFault(await attempt.result, 'ERR_NODE_BROKE')
  assert.deepEqual(pieces, ['first', 'second'])
  assert.ok(performance.now() - resumedAt >= LIMIT_MS)
})

describe('no timer is left after a try that ended with', () => {
  const timers = (): number => process.getActiveResourcesInfo().filter((one) => one === 'Timeout').length

  test('an answer', async (t) => {
    const node = await serving(t, (_, response) => response.end('answer'))
    const transport = transportWith(t, {})
    const before = timers()
    assert.equal((await collect(transport, node, request)).kind, 'answer')
    assert.equal(timers(), before)
  })

  test('a refused connection', async (t) => {
    const transport = transportWith(t, {})
    const node = trackedNode(`127.0.0.1:${await freePort()}`)
    const before = timers()
    assertFault(await collect(transport, node, request), 'ERR_NODE_REFUSED')
    assert.equal(timers(), before)
  })

  test('its client gone while its flow was paused, although that is resumed afterwards', async (t) => {
    const node = await serving(t, (_, response) => void response.write('first'))
    const transport = transportWith(t, {})
    const before = timers()
    let flow: Flow
    const attempt: Attempt = new Attempt({
      begin: (_status, _headers, given) => {
        flow = given
        flow.pause()
        setImmediate(() => attempt.abort(new GatewayFault('ERR_CLIENT_GONE')))
        return true
      },
      piece: () => undefined,
      end: () => undefined,
      broke: () => flow.resume(),
    })
    transport.dispatch(node, request, attempt)
    assertFault(await attempt.result, 'ERR_CLIENT_GONE')
    assert.equal(timers(), before)
  })

  test('its client gone while a connection was made', async (t) => {
    const node = trackedNode(await unconnectable(t))
    const transport = transportWith(t, { connect: LIMIT_MS })
    const before = timers()
    const attempt = new Attempt()
    transport.dispatch(node, request, attempt)
    attempt.abort(new GatewayFault('ERR_CLIENT_GONE'))
    assertFault(await attempt.result, 'ERR_CLIENT_GONE')
    // The connection itself is still tried, in its own time.
    await sleep(LONGER_MS)
    assert.equal(timers(), before)
  })
})
