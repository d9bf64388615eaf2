/** How long a try waits: for a connection, for the first byte of an answer, and between two pieces of it. */
import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseAddress } from '../../src/fleet/address.ts'
import { DEFAULT_CONSTANTS } from '../../src/fleet/load/constants.ts'
import { FleetLoad } from '../../src/fleet/load/fleetLoad.ts'
import { NodeLoad } from '../../src/fleet/load/nodeLoad.ts'
import { TrackedNode } from '../../src/fleet/node.ts'
import { GatewayFault, type FaultCode } from '../../src/faults.ts'
import {
  Attempt,
  collect,
  type AnswerSink,
  type AttemptResult,
  type BackendRequest,
  type Flow,
} from '../../src/proxy/attempt.ts'
import { Transport } from '../../src/proxy/transport.ts'
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

function nodeAt(address: string): TrackedNode {
  return new TrackedNode(parseAddress(address), new NodeLoad(new FleetLoad(DEFAULT_CONSTANTS), {}))
}

async function serving(t: Cleanup, listener: RequestListener): Promise<TrackedNode> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return nodeAt(`127.0.0.1:${(server.address() as AddressInfo).port}`)
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
    const node = nodeAt(await unconnectable(t))
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
  const result = await collect(transportWith(t, { answer: limitMs, idle: limitMs }), node, request)
  assert.equal(result.kind, 'answer')
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
    const node = nodeAt(`127.0.0.1:${await freePort()}`)
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
    const node = nodeAt(await unconnectable(t))
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
