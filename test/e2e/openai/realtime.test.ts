/** `GET /v1/realtime` by WebSocket. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import type { AddressInfo } from 'node:net'
import { after, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import OpenAI from 'openai'
import { OpenAIRealtimeWS } from 'openai/realtime/ws'
import { WebSocket } from 'ws'
import type { ClientOptions } from 'ws'
import { entryOf, gatewayForServices } from '../../kit/builders/gateways.ts'
import { startForwardProxy } from '../../kit/forwardProxy.ts'
import { spawnGateway } from '../../kit/gateway.ts'
import { request } from '../../kit/http.ts'
import { startRealtimeService } from '../../kit/realtimeService.ts'
import { TLS_CERTIFICATE, TLS_KEY } from '../../kit/tls.ts'
import { eventually, within } from '../../kit/wait.ts'
import { statsOf } from '../support.ts'
import { inFlightIs } from './support.ts'

const file = { after }
const WAIT_MS = 10_000

interface Opening {
  protocols?: readonly string[]
  headers?: Record<string, string>
}

const wsUrl = (url: string, path = '/v1/realtime?model=voice'): string => url.replace(/^http/, 'ws') + path

/** Opens a session; its first message, the service's own, has been read. */
async function open(t: TestContext, url: string, { protocols = [], headers = {} }: Opening = {}): Promise<WebSocket> {
  const options: ClientOptions = { headers }
  const socket = new WebSocket(url, [...protocols], options)
  t.after(() => socket.terminate())
  const [message] = (await within(once(socket, 'message'), WAIT_MS, () => 'the first message')) as [Buffer]
  assert.match(message.toString(), /session\.created/)
  return socket
}

interface Refused {
  status: number
  headers: Record<string, unknown>
  body: { error: { message: string; code: string; type: string } }
}

/** The plain HTTP answer to a request for a session. */
async function refusal(url: string, { protocols = [], headers = {} }: Opening = {}): Promise<Refused> {
  const socket = new WebSocket(url, [...protocols], { headers })
  const refused = new Promise<Refused>((resolve, reject) => {
    socket.on('open', () => reject(new Error('it was opened')))
    socket.on('error', reject)
    socket.on('unexpected-response', (_request, answer) => {
      let text = ''
      answer.on('data', (chunk: Buffer) => (text += chunk.toString()))
      answer.on('end', () => {
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: JSON.parse(text) as Refused['body'] })
      })
    })
  })
  return within(refused, WAIT_MS, () => 'a refusal')
}

async function echo(socket: WebSocket, message: string | Buffer): Promise<string> {
  socket.send(message)
  const [answer] = (await within(once(socket, 'message'), WAIT_MS, () => 'an echo')) as [Buffer]
  return answer.toString('latin1')
}

describe('a session', async () => {
  const service = await startRealtimeService(file)
  const gateway = await gatewayForServices(file, [entryOf(service)])

  test('goes to the service that has the model, and carries messages of any size both ways', async (t) => {
    const socket = await open(t, wsUrl(gateway.url, '/v1/realtime?a=1&model=voice&b=%20'))
    assert.equal(service.asked.at(-1)?.url, '/v1/realtime?model=voice&a=1&b=%20')
    for (const size of [1, 125, 126, 65_536, 3_000_000]) {
      const message = Buffer.alloc(size, 'x')
      assert.equal(await echo(socket, message), message.toString('latin1'))
    }
    socket.close(1000, 'done')
    const [code, reason] = (await once(socket, 'close')) as [number, Buffer]
    assert.deepEqual([code, reason.toString()], [1000, 'done'])
  })

  test('may name its model as a deployment, and reaches the service with one name', async (t) => {
    for (const query of ['?deployment=voice', '?model=&deployment=voice', '?mod%65l=voice']) {
      const socket = await open(t, wsUrl(gateway.url, `/v1/realtime${query}`))
      assert.equal(service.asked.at(-1)?.url, '/v1/realtime?model=voice')
      socket.terminate()
    }
    await inFlightIs(gateway, service, 0)
  })

  test('counts as in flight as long as it is open, and is given back however it ends', async (t) => {
    const before = (await statsOf(gateway, service)).request_count
    const sockets = await Promise.all([open(t, wsUrl(gateway.url)), open(t, wsUrl(gateway.url))])
    await inFlightIs(gateway, service, 2)
    sockets[0].close()
    await inFlightIs(gateway, service, 1)
    sockets[1].terminate()
    await inFlightIs(gateway, service, 0)
    assert.equal((await statsOf(gateway, service)).request_count, before + 2)
    await eventually(() => service.sessions.size === 0)
  })

  test('ends for the client when the service ends it', async (t) => {
    const socket = await open(t, wsUrl(gateway.url))
    const closed = once(socket, 'close')
    for (const session of service.sessions) session.close(4000, 'enough')
    const [code, reason] = (await within(closed, WAIT_MS, () => 'the end')) as [number, Buffer]
    assert.deepEqual([code, reason.toString()], [4000, 'enough'])
    const cut = await open(t, wsUrl(gateway.url))
    const broken = once(cut, 'close')
    for (const session of service.sessions) session.terminate()
    assert.equal(((await within(broken, WAIT_MS, () => 'the cut')) as [number])[0], 1006)
    await inFlightIs(gateway, service, 0)
  })

  test('is opened by the global WebSocket of the runtime too, with a protocol', async (t) => {
    const socket = new globalThis.WebSocket(wsUrl(gateway.url), ['realtime', 'openai-beta.realtime-v1'])
    t.after(() => socket.close())
    const message = new Promise<string>((resolve, reject) => {
      socket.addEventListener('message', ({ data }) => resolve(String(data)))
      socket.addEventListener('error', () => reject(new Error('no connection')))
    })
    assert.match(await within(message, WAIT_MS, () => 'a message'), /session\.created/)
    assert.equal(socket.protocol, 'realtime')
  })

  test('shows the service and the request in its answer, and leaves a line in the log at its end', async (t) => {
    const socket = new WebSocket(wsUrl(gateway.url), { headers: { 'X-Request-Id': 'session-1' } })
    t.after(() => socket.terminate())
    const opened = once(socket, 'open')
    const [{ headers }] = (await once(socket, 'upgrade')) as [{ headers: Record<string, string> }]
    assert.equal(headers['x-infernet-node'], service.address)
    assert.equal(headers['x-request-id'], 'session-1')
    await opened
    socket.close()
    const line = await gateway.waitForLog(
      ({ requestId, message }) => requestId === 'session-1' && message === 'request',
    )
    assert.equal(line['status'], 101)
    const sent = service.asked.at(-1)!.headers
    assert.equal(sent['x-request-id'], 'session-1')
    assert.equal(sent['x-forwarded-for'], '127.0.0.1')
    const metrics = (await request(`${gateway.url}/metrics`)).text
    assert.match(metrics, /route="\/v1\/realtime"/)
  })

  test('of an unknown model, or of none, is refused in JSON', async () => {
    const unnamed = await refusal(wsUrl(gateway.url, '/v1/realtime'))
    assert.equal(unnamed.status, 400)
    assert.match(unnamed.body.error.message, /model/)
    const unknown = await refusal(wsUrl(gateway.url, '/v1/realtime?model=nobody-has-it'))
    assert.equal(unknown.status, 404)
    assert.equal(unknown.body.error.code, 'model_not_found')
    assert.equal(unknown.headers['connection'], 'close')
  })

  test('needs an upgrade; upgrades of other paths, and to other protocols, are ignored', async () => {
    const plain = await request(`${gateway.url}/v1/realtime?model=voice`)
    assert.equal(plain.status, 426)
    assert.equal(plain.headers['upgrade'], 'websocket')
    const headers = { Connection: 'Upgrade', Upgrade: 'websocket' }
    assert.equal((await request(`${gateway.url}/livez`, { headers })).status, 200)
    const h2c = { Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': 'AAMAAABkAAQAAP__' }
    assert.equal((await request(`${gateway.url}/v1/models`, { headers: h2c })).status, 200)
  })

  test('is not opened by a page of another site', async () => {
    const refused = await refusal(wsUrl(gateway.url), { headers: { Origin: 'https://elsewhere.example' } })
    assert.equal(refused.status, 403)
    assert.equal(refused.body.error.code, 'origin_not_allowed')
  })
})

describe('of several services', () => {
  test('one that is gone, or refuses for now, is passed over', async (t) => {
    const busy = { refusal: { status: 503, body: '{"error":{"message":"busy"}}' } }
    const [good, refusing] = await Promise.all([startRealtimeService(t), startRealtimeService(t, busy)])
    const gateway = await gatewayForServices(t, [entryOf(refusing), entryOf(good)])
    for (let i = 0; i < 4; i++) await open(t, wsUrl(gateway.url))
    assert.equal(good.sessions.size, 4)
  })

  test("the only one's own refusal passes through, without what acts beyond it", async (t) => {
    const body = '{"error":{"message":"no such voice","code":"own"}}'
    const service = await startRealtimeService(t, { refusal: { status: 400, body } })
    const gateway = await gatewayForServices(t, [entryOf(service)])
    const refused = await refusal(wsUrl(gateway.url))
    assert.equal(refused.status, 400)
    assert.deepEqual(refused.body, JSON.parse(body))
    assert.equal(refused.headers['set-cookie'], undefined)
    await inFlightIs(gateway, service, 0)
  })

  test('one that hangs up is a 502 in JSON, and none that is healthy a 503', async (t) => {
    const service = await startRealtimeService(t, { hangsUp: true })
    const gateway = await gatewayForServices(t, [entryOf(service)])
    const broken = await refusal(wsUrl(gateway.url))
    assert.equal(broken.status, 502)
    assert.equal(broken.body.error.type, 'server_error')
    await inFlightIs(gateway, service, 0)
    const gone = await spawnGateway(t, { services: [{ name: 'gone', url: 'http://127.0.0.1:9', models: ['voice'] }] })
    const absent = await refusal(wsUrl(gone.url))
    assert.equal(absent.status, 503)
    assert.equal(absent.body.error.code, 'no_healthy_backend')
    assert.ok(Number(absent.headers['retry-after']) >= 1)
  })
})

test('a service that refuses sessions is set aside for them, and /stats names the model and the path', async (t) => {
  const refuses = { refusal: { status: 500, body: '{"error":{"message":"broken"}}' } }
  const [good, bad] = await Promise.all([startRealtimeService(t), startRealtimeService(t, refuses)])
  const gateway = await gatewayForServices(t, [entryOf(bad), entryOf(good)], { REFRESH_INTERVAL: '3600' })
  const attempt = async (): Promise<void> => {
    const socket = new WebSocket(wsUrl(gateway.url))
    socket.on('error', () => undefined)
    const closed = once(socket, 'close')
    socket.on('open', () => socket.close())
    await within(closed, WAIT_MS, () => 'the end of an attempt')
  }
  const kinds = await eventually(async () => {
    await attempt()
    const { services } = (await request(`${gateway.url}/stats`)).json<{
      services: { name: string; avoided: { kind: string }[] }[]
    }>()
    const { avoided } = services.find(({ name }) => name === bad.address)!
    return avoided.length > 0 && avoided.map(({ kind }) => kind)
  })
  assert.deepEqual(kinds, ['model voice (/realtime)'])
})

describe('keys', async () => {
  const [open1, locked] = await Promise.all([
    startRealtimeService(file),
    startRealtimeService(file, { models: ['locked'] }),
  ])
  const entries = [entryOf(open1), entryOf(locked, { api_key: 'sk-own' })]

  test('of the gateway are needed where there are any, also as a protocol, and never reach a service', async (t) => {
    const gateway = await gatewayForServices(t, entries, { API_KEYS: 'client-key', OPS_KEY: 'ops-key' })
    const none = await refusal(wsUrl(gateway.url))
    assert.equal(none.status, 401)
    assert.match(String(none.headers['www-authenticate']), /^Bearer/)
    const wrong = await refusal(wsUrl(gateway.url), { protocols: ['realtime', 'openai-insecure-api-key.wrong'] })
    assert.equal(wrong.status, 401)
    const protocols = ['realtime', 'openai-insecure-api-key.client-key', 'openai-beta.realtime-v1']
    for (const opening of [
      { protocols },
      { protocols: ['realtime'], headers: { Authorization: 'Bearer client-key' } },
      { protocols: ['realtime', 'openai-insecure-api-key.ops-key'], headers: { 'X-API-Key': 'client-key' } },
    ]) {
      const socket = await open(t, wsUrl(gateway.url), opening)
      assert.equal(socket.protocol, 'realtime')
      socket.terminate()
    }
    const seen = JSON.stringify(open1.asked)
    assert.ok(!seen.includes('client-key') && !seen.includes('ops-key'))
    assert.equal(open1.asked[0]?.headers['sec-websocket-protocol'], 'realtime, openai-beta.realtime-v1')
    assert.ok(!gateway.output.includes('client-key'))
  })

  test("of a client reach a service without a key of its own; a service's own takes their place", async (t) => {
    const gateway = await gatewayForServices(t, entries)
    const protocols = ['realtime', 'openai-insecure-api-key.sk-theirs']
    await open(t, wsUrl(gateway.url), { protocols })
    assert.equal(open1.asked.at(-1)?.headers['sec-websocket-protocol'], protocols.join(','))
    await open(t, wsUrl(gateway.url, '/v1/realtime?model=locked'), { protocols })
    const { headers } = locked.asked.at(-1)!
    assert.equal(headers['sec-websocket-protocol'], 'realtime')
    assert.equal(headers.authorization, 'Bearer sk-own')
  })

  test('have a budget, of which each session takes one', async (t) => {
    const gateway = await gatewayForServices(t, entries, { PROXY_RATELIMIT_REQS_PER_MIN: '2' })
    for (let i = 0; i < 2; i++) await open(t, wsUrl(gateway.url))
    const limited = await refusal(wsUrl(gateway.url))
    assert.equal(limited.status, 429)
    assert.ok(Number(limited.headers['retry-after']) >= 1)
  })

  test('of a page of an allowed origin count like any other', async (t) => {
    const gateway = await gatewayForServices(t, entries, { CORS_ORIGINS: 'https://app.example' })
    await open(t, wsUrl(gateway.url), { headers: { Origin: 'https://app.example' } })
    assert.equal(open1.asked.at(-1)?.headers.origin, undefined)
  })
})

describe('while the gateway shuts down', () => {
  test('a session goes on until its end, and new ones are refused', async (t) => {
    const service = await startRealtimeService(t)
    const gateway = await gatewayForServices(t, [entryOf(service)])
    const socket = await open(t, wsUrl(gateway.url))
    gateway.signal('SIGTERM')
    await gateway.waitForLog(({ message }) => message === 'draining')
    assert.equal(await echo(socket, 'still here'), 'still here')
    const refused = await refusal(wsUrl(gateway.url))
    assert.equal(refused.status, 503)
    socket.close()
    assert.equal((await gateway.exited).code, 0)
  })

  test('a session that outlasts DRAIN_TIMEOUT is told that the gateway goes away', async (t) => {
    const service = await startRealtimeService(t)
    const gateway = await gatewayForServices(t, [entryOf(service)], { DRAIN_TIMEOUT: '0.2' })
    const socket = await open(t, wsUrl(gateway.url))
    const closed = once(socket, 'close')
    assert.equal((await gateway.stop()).code, 0)
    assert.equal(((await within(closed, WAIT_MS, () => 'the end')) as [number])[0], 1001)
    await eventually(() => service.sessions.size === 0)
  })
})

test('a session goes through a tunnel of the proxy, also to a plain address', async (t) => {
  const [proxy, service] = await Promise.all([startForwardProxy(t), startRealtimeService(t)])
  const gateway = await gatewayForServices(t, [entryOf(service)], { HTTP_PROXY: proxy.url })
  const socket = await open(t, wsUrl(gateway.url))
  assert.equal(await echo(socket, 'hello'), 'hello')
  assert.ok(proxy.asked.includes(`CONNECT ${service.address}`))
})

test('the official client speaks to a service by way of the gateway', async (t) => {
  const service = await startRealtimeService(t)
  const gateway = await gatewayForServices(t, [entryOf(service)], { API_KEYS: 'client-key' })
  // The client knows TLS only, which something in front of the gateway speaks.
  const front = createTlsServer({ key: TLS_KEY, cert: TLS_CERTIFICATE }, (client) => {
    const onward = connect(gateway.port, '127.0.0.1')
    client.pipe(onward).pipe(client)
    for (const end of [client, onward]) end.on('error', () => undefined)
    client.on('close', () => onward.destroy())
  })
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve))
  t.after(() => front.close())
  const { port } = front.address() as AddressInfo
  const client = new OpenAI({ baseURL: `https://127.0.0.1:${port}/v1`, apiKey: 'client-key' })
  const realtime = new OpenAIRealtimeWS({ model: 'voice', options: { ca: TLS_CERTIFICATE } }, client)
  t.after(() => realtime.socket.terminate())
  const created = new Promise<string>((resolve, reject) => {
    realtime.on('error', reject)
    realtime.on('session.created', ({ type }) => resolve(type))
  })
  assert.equal(await within(created, WAIT_MS, () => 'the session'), 'session.created')
  realtime.close()
  await inFlightIs(gateway, service, 0)
})
