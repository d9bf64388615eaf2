/** `GET /v1/realtime` by clients and services that keep to the rules only in part. */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { after, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { entryOf, gatewayForServices } from '../../kit/builders/gateways.ts'
import { startRealtimeService } from '../../kit/realtimeService.ts'
import { eventually } from '../../kit/wait.ts'
import { statsOf } from '../support.ts'

const file = { after }
const WAIT_MS = 10_000

interface Handshake {
  target?: string
  version?: string
  headers?: readonly string[]
  body?: string
}

/** A request for a session as it goes over the wire. */
function handshake({
  target = '/v1/realtime?model=voice',
  version = '1.1',
  headers = [],
  body = '',
}: Handshake): string {
  const head = [
    `GET ${target} HTTP/${version}`,
    'Host: gateway',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ...headers,
  ]
  return `${head.join('\r\n')}\r\n\r\n${body}`
}

/** A connection on which this was sent, and the status of the answer. */
async function ask(t: TestContext, port: number, sent: string): Promise<{ socket: Socket; status: number }> {
  const socket = connect(port, '127.0.0.1')
  t.after(() => socket.destroy())
  let text = ''
  socket.on('data', (piece: Buffer) => (text += piece.toString('latin1')))
  socket.write(sent)
  const status = (): number => Number(/^HTTP\/1\.1 (\d+)[^]*\r\n\r\n/.exec(text)?.[1])
  // What the service says first has been read too: else closing would be a reset.
  const isAnswered = (): boolean => status() > 0 && (status() !== 101 || text.includes('session.created'))
  await eventually(isAnswered, { withinMs: WAIT_MS, what: 'an answer' })
  return { socket, status: status() }
}

describe('a request for a session', async () => {
  const service = await startRealtimeService(file)
  const gateway = await gatewayForServices(file, [entryOf(service)])

  test('with a body is none, and no byte of the body reaches a service', async (t) => {
    const before = service.asked.length
    for (const wanted of [
      { headers: ['Content-Length: 5'], body: 'hello' },
      { headers: ['Transfer-Encoding: chunked'], body: '5\r\nhello\r\n0\r\n\r\n' },
    ]) {
      assert.equal((await ask(t, gateway.port, handshake(wanted))).status, 426)
    }
    assert.equal(service.asked.length, before)
    assert.equal((await ask(t, gateway.port, handshake({ headers: ['Content-Length: 0'] }))).status, 101)
  })

  test('of HTTP/1.0 is none', async (t) => {
    assert.equal((await ask(t, gateway.port, handshake({ version: '1.0' }))).status, 426)
  })

  test('may name its target in absolute form, and behind several slashes', async (t) => {
    for (const target of ['http://gateway/v1/realtime?model=voice', '//v1/realtime?model=voice']) {
      assert.equal((await ask(t, gateway.port, handshake({ target }))).status, 101, target)
      assert.equal(service.asked.at(-1)?.url, '/v1/realtime?model=voice')
    }
  })

  test('reaches the service with one model, however a second one is written', async (t) => {
    const target = '/v1/realtime?model=voice&%6Dodel=other&deploymen%74=third&x=%zz'
    assert.equal((await ask(t, gateway.port, handshake({ target }))).status, 101)
    assert.equal(service.asked.at(-1)?.url, '/v1/realtime?model=voice&x=%zz')
  })
})

test('a session ends with its client, whether or not its service takes note', async (t) => {
  const service = await startRealtimeService(t, { ignoresEnd: true })
  const gateway = await gatewayForServices(t, [entryOf(service)])
  const { socket } = await ask(t, gateway.port, handshake({}))
  assert.equal((await statsOf(gateway, service)).in_flight, 1)
  socket.destroy()
  const isGivenBack = async (): Promise<boolean> => (await statsOf(gateway, service)).in_flight === 0
  await eventually(isGivenBack, { withinMs: WAIT_MS, what: 'the place of the session' })
})
