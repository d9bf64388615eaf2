import assert from 'node:assert/strict'
import type { IncomingHttpHeaders } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { after, describe, test } from 'node:test'
import express from 'express'
import { contextOf } from '../../src/http/context.ts'
import {
  headersForBackend,
  headersForClient,
  headersOnBehalf,
  replaceCredentials,
  type FlatHeaders,
} from '../../src/upstream/headers.ts'
import { request } from '../kit/http.ts'

const VIA = '1.1 gateway-under-test'

/** An Express app that answers with the headers it would send to a backend. */
async function echoing(trustProxy: false | number | string[], { credentialsAreOurs = false } = {}): Promise<string> {
  const app = express()
  app.set('trust proxy', trustProxy)
  app.use((req, res) => {
    contextOf(req).credentialsAreOurs = credentialsAreOurs
    res.json(headersForBackend(req, { via: VIA, contentType: 'application/json' }))
  })
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  after(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

const plain = await echoing(false)

async function sent(
  headers: Record<string, string | string[]> = {},
  { url = plain, from = '127.0.0.1' } = {},
): Promise<Map<string, string[]>> {
  return named((await request(url, { headers, localAddress: from })).json<FlatHeaders>())
}

/** Values by name; names must come in lower case. */
function named(flat: FlatHeaders): Map<string, string[]> {
  const byName = new Map<string, string[]>()
  for (let i = 0; i < flat.length; i += 2) {
    const [name = '', value = ''] = flat.slice(i, i + 2)
    byName.set(name, [...(byName.get(name) ?? []), value])
  }
  return byName
}

describe('what a backend is told of the client', () => {
  test("X-Forwarded-For is the client's true address, whatever the client wrote", async () => {
    const headers = await sent({ 'X-Forwarded-For': '9.9.9.9', Forwarded: 'for=9.9.9.9' }, { from: '127.0.0.7' })
    assert.deepEqual(headers.get('x-forwarded-for'), ['127.0.0.7'])
    assert.equal(headers.has('forwarded'), false)
  })

  test('behind trusted proxies the client comes first, then each hop as far as it is believed', async () => {
    const url = await echoing(['127.0.0.7', '10.0.0.1'])
    const headers = await sent({ 'X-Forwarded-For': '6.6.6.6, 9.9.9.9, 10.0.0.1' }, { url, from: '127.0.0.7' })
    assert.deepEqual(headers.get('x-forwarded-for'), ['9.9.9.9, 10.0.0.1, 127.0.0.7'])
  })

  test('a trusted proxy that names nobody is itself the client', async () => {
    const url = await echoing(1)
    assert.deepEqual((await sent({}, { url, from: '127.0.0.7' })).get('x-forwarded-for'), ['127.0.0.7'])
  })

  test('scheme and host are those that the client used', async () => {
    const headers = await sent({ Host: 'gateway.example', 'X-Forwarded-Host': 'forged', 'X-Forwarded-Proto': 'forged' })
    assert.deepEqual(headers.get('x-forwarded-host'), ['gateway.example'])
    assert.deepEqual(headers.get('x-forwarded-proto'), ['http'])
    assert.equal(headers.has('host'), false)
  })

  test('a trusted proxy may say them', async () => {
    const url = await echoing(['127.0.0.1'])
    const headers = await sent({ 'X-Forwarded-Host': 'public.example', 'X-Forwarded-Proto': 'https' }, { url })
    assert.deepEqual(headers.get('x-forwarded-host'), ['public.example'])
    assert.deepEqual(headers.get('x-forwarded-proto'), ['https'])
  })

  test('Via goes on with our name last', async () => {
    assert.deepEqual((await sent()).get('via'), [VIA])
    assert.deepEqual((await sent({ Via: '1.0 fred, 1.1 p' })).get('via'), [`1.0 fred, 1.1 p, ${VIA}`])
  })

  test('X-Request-Id is the client’s if plausible, else one of ours', async () => {
    assert.deepEqual((await sent({ 'X-Request-Id': 'a.B-9_' })).get('x-request-id'), ['a.B-9_'])
    for (const id of ['with blank', 'a'.repeat(129), 'ü', '']) {
      const [ours = ''] = (await sent({ 'X-Request-Id': Buffer.from(id).toString('latin1') })).get('x-request-id') ?? []
      assert.match(ours, /^[0-9a-f-]{36}$/)
    }
  })

  test('the body is announced as JSON, whatever the client called it', async () => {
    const headers = await sent({ 'Content-Type': 'text/plain' })
    assert.deepEqual(headers.get('content-type'), ['application/json'])
  })
})

describe('traceparent', () => {
  const TRACE = '0af7651916cd43dd8448eb211c80319c'

  test("the client's goes on", async () => {
    const given = `00-${TRACE}-b7ad6b7169203331-01`
    assert.deepEqual((await sent({ traceparent: given })).get('traceparent'), [given])
  })

  for (const given of [
    undefined,
    'nonsense',
    `ff-${TRACE}-b7ad6b7169203331-01`,
    `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE.toUpperCase()}-b7ad6b7169203331-01`,
  ]) {
    test(`with ${given ?? 'none'} a trace begins`, async () => {
      const [begun = ''] = (await sent(given === undefined ? {} : { traceparent: given })).get('traceparent') ?? []
      assert.match(begun, /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-01$/)
      assert.notEqual(begun, given)
    })
  }

  test('a trace that begins here is the request id where that is a UUID', async () => {
    const headers = await sent({ 'X-Request-Id': '0AF76519-16cd-43dd-8448-eb211c80319c' })
    assert.ok(headers.get('traceparent')?.[0]?.startsWith(`00-${TRACE}-`))
  })
})

describe('what stays with the client', () => {
  test('hop-by-hop headers, and those that Connection names', async () => {
    const headers = await sent({
      Connection: 'close, X-Private',
      'X-Private': 'a',
      'Keep-Alive': 'timeout=9',
      'Proxy-Authorization': 'Basic a',
      'Proxy-Connection': 'keep-alive',
      TE: 'trailers',
      Upgrade: 'websocket',
      'X-Public': 'b',
    })
    assert.deepEqual(headers.get('x-public'), ['b'])
    for (const name of ['connection', 'x-private', 'keep-alive', 'proxy-authorization', 'proxy-connection', 'te']) {
      assert.equal(headers.has(name), false, name)
    }
    assert.equal(headers.has('upgrade'), false)
  })

  test('what is meant for the gateway alone', async () => {
    const headers = await sent({
      'Accept-Encoding': 'gzip',
      'Content-Encoding': 'identity',
      'Idempotency-Key': 'a',
      'X-Infernet-Cost': '2',
      'X-Infernet-Failover': 'off',
      'X-Real-IP': '9.9.9.9',
    })
    const names = ['accept-encoding', 'content-encoding', 'idempotency-key', 'x-infernet-cost', 'x-infernet-failover']
    for (const name of [...names, 'x-real-ip']) assert.equal(headers.has(name), false, name)
  })

  test("the gateway's keys; a client's own credentials go on", async () => {
    const credentials = { Authorization: 'Bearer a', 'X-API-Key': 'b' }
    const theirs = await sent(credentials)
    assert.deepEqual(theirs.get('authorization'), ['Bearer a'])
    assert.deepEqual(theirs.get('x-api-key'), ['b'])
    const url = await echoing(false, { credentialsAreOurs: true })
    const ours = await sent(credentials, { url })
    assert.equal(ours.has('authorization'), false)
    assert.equal(ours.has('x-api-key'), false)
  })
})

test("a backend's own key takes the place of whatever the client showed, in any header", () => {
  const own = ['authorization', 'Bearer ours', 'x-api-key', 'ours']
  const replaced = named(
    replaceCredentials(['authorization', 'Bearer a', 'x-api-key', 'a', 'x-a', '1'], 'authorization', own),
  )
  assert.deepEqual(Object.fromEntries(replaced), {
    'x-a': ['1'],
    authorization: ['Bearer ours'],
    'x-api-key': ['ours'],
  })
  const given = named(replaceCredentials(['authorization', 'Bearer a', 'x-key', 'a'], 'x-key', ['x-key', 'ours']))
  assert.deepEqual(Object.fromEntries(given), { 'x-key': ['ours'] })
})

test('a call on behalf of a client that has gone still names it', () => {
  const headers = named(headersOnBehalf('9.9.9.9', 'job-1', VIA))
  assert.deepEqual(headers.get('x-forwarded-for'), ['9.9.9.9'])
  assert.deepEqual(headers.get('via'), [VIA])
  assert.deepEqual(headers.get('x-request-id'), ['job-1'])
  assert.deepEqual(headers.get('content-type'), ['application/json'])
  assert.match(headers.get('traceparent')?.[0] ?? '', /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
  // And nothing of what the client sent, its keys and cookies least of all.
  assert.equal(headers.size, 5)
})

describe('what a client is told by a backend', () => {
  test('all but the connection’s own headers', () => {
    const given = {
      'content-type': 'text/html',
      'x-custom': 'a',
      connection: 'close, x-hop',
      'x-hop': 'b',
      'keep-alive': 'timeout=5',
      'transfer-encoding': 'chunked',
      trailer: 'x-sum',
    }
    assert.deepEqual(headersForClient(given), {
      'content-type': 'text/html',
      'x-custom': 'a',
    })
  })

  test('nothing by which a backend could act for the whole origin of the gateway', () => {
    const acting = [
      ...['set-cookie', 'clear-site-data', 'strict-transport-security', 'set-login', 'secure-session-registration'],
      ...['access-control-allow-origin', 'access-control-allow-credentials', 'timing-allow-origin', 'alt-svc'],
      ...['cross-origin-resource-policy', 'cross-origin-opener-policy', 'origin-agent-cluster', 'accept-ch'],
      ...['content-security-policy', 'content-security-policy-report-only', 'x-content-type-options'],
      ...['nel', 'report-to', 'reporting-endpoints', 'service-worker-allowed', 'sourcemap', 'link', 'refresh'],
      ...['location', 'content-location', 'use-as-dictionary', 'speculation-rules', 'x-accel-redirect', 'x-sendfile'],
    ]
    assert.deepEqual(headersForClient(Object.fromEntries(acting.map((name) => [name, 'a']))), {})
    const kept = {
      etag: '"a"',
      'content-disposition': 'attachment',
      'x-accel-buffering': 'no',
      'cache-control': 'no-store',
    }
    assert.deepEqual(headersForClient(kept), kept)
  })

  test('have one type, the first, whatever a backend sends', () => {
    const twice = { 'content-type': ['application/json', 'text/html'] } as unknown as IncomingHttpHeaders
    assert.deepEqual(headersForClient(twice), { 'content-type': 'application/json' })
  })

  test('no challenge by which a browser asks its user for a password', () => {
    const challenge = (value: string): unknown => headersForClient({ 'www-authenticate': value })['www-authenticate']
    for (const value of [
      'Basic realm="a"',
      'Bearer realm="a", Basic realm="b"',
      'NEGOTIATE',
      'digest nonce="a"',
      'NTLM',
    ]) {
      assert.equal(challenge(value), undefined, value)
    }
    const bearer = 'Bearer error="invalid_token"'
    assert.equal(challenge(bearer), bearer)
  })

  test('not a budget that is not the client’s, nor what only the gateway says', () => {
    const given = {
      'ratelimit-limit': '60',
      'ratelimit-remaining': '3',
      'ratelimit-reset': '57',
      'x-ratelimit-limit': '60',
      'x-request-id': 'forged',
      'x-infernet-node': 'forged',
      'alt-svc': 'h3=":443"',
      'retry-after': '3',
    }
    assert.deepEqual(headersForClient(given), { 'retry-after': '3' })
  })
})
