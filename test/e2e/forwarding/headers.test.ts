import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { openRaw, openStream, post, request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import type { RecordedRequest } from '../../kit/fakeNode/index.ts'

const file = { after }
const node = await startFakeNode({ rateLimit: 0 }, file)
const gateway = await gatewayFor(file, [node])

type Headers = Record<string, string | string[]>

/** What the node is sent when a client sends these headers with a job. */
async function sentWith(headers: Headers, at = gateway): Promise<RecordedRequest> {
  const after = node.requests.at(-1)?.n ?? 0
  assert.equal((await post(`${at.url}/api/jobs`, jobOf(), { headers })).status, 200)
  return node.waitFor((seen) => seen.endpoint === 'submit', { after })
}

function namesOf(seen: RecordedRequest): string[] {
  return seen.rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase())
}

describe('the request id', () => {
  test('is the client’s own where that is plausible', async () => {
    for (const id of ['a', 'A-z_0.9', 'x'.repeat(128), '6f1eb0c7-9c38-4724-9277-c9ac0e972c1a']) {
      const answer = await post(`${gateway.url}/api/jobs`, jobOf(), { headers: { 'X-Request-Id': id } })
      assert.equal(answer.headers['x-request-id'], id)
      assert.equal(node.seen('submit').at(-1)!.header('x-request-id'), id)
    }
  })

  test('is one of the gateway’s where the client’s is not plausible, or there is none', async () => {
    for (const id of [
      undefined,
      '',
      'x'.repeat(129),
      'two words',
      'semi;colon',
      '"quoted"',
      'é',
      '{"level":"error"}',
    ]) {
      const headers: Headers = id === undefined ? {} : { 'X-Request-Id': id }
      const answer = await post(`${gateway.url}/api/jobs`, jobOf(), { headers })
      const given = answer.headers['x-request-id'] as string
      assert.match(given, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
      assert.equal(node.seen('submit').at(-1)!.header('x-request-id'), given)
    }
  })

  test('is on every answer, errors included', async () => {
    const headers = { 'X-Request-Id': 'mine' }
    for (const [method, path, body] of [
      ['GET', '/nothing'],
      ['DELETE', '/api/jobs'],
      ['POST', '/api/jobs', 'nonsense'],
      ['GET', '/api/jobs'],
      ['GET', '/health'],
      ['OPTIONS', '/api/jobs'],
    ] as const) {
      const answer = await request(`${gateway.url}${path}`, { method, headers, body })
      assert.equal(answer.headers['x-request-id'], 'mine', `${method} ${path}`)
    }
    const open = await openStream(`${gateway.url}/api/jobs/stream`, { body: jobOf(), headers })
    await open.ended
    assert.equal(open.headers['x-request-id'], 'mine')
  })
})

describe('the trace', () => {
  const TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
  const MALFORMED = [
    TRACE.replace(/4bf\w+/, '0'.repeat(32)),
    TRACE.replace(/00f067\w+/, '0'.repeat(16)),
    TRACE.toUpperCase(),
  ]

  test('of the client goes on', async () => {
    const seen = await sentWith({ traceparent: TRACE, tracestate: 'vendor=1' })
    assert.equal(seen.header('traceparent'), TRACE)
    assert.equal(seen.header('tracestate'), 'vendor=1')
  })

  test('is begun where there is none, or none that is valid, and then nobody’s state goes with it', async () => {
    for (const given of [undefined, 'nonsense', `ff${TRACE.slice(2)}`, ...MALFORMED]) {
      const seen = await sentWith({ ...(given && { traceparent: given }), tracestate: 'vendor=1' })
      const made = seen.header('traceparent')!
      assert.match(made, /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/)
      assert.notEqual(made, given)
      assert.equal(seen.header('tracestate'), undefined)
    }
  })
})

describe('a trace that begins here', () => {
  test('is the request id where that is a UUID', async () => {
    const seen = await sentWith({ 'X-Request-Id': '0AF76519-16cd-43dd-8448-eb211c80319c' })
    assert.match(seen.header('traceparent')!, /^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/)
  })
})

describe('towards the node', () => {
  test('headers of the client’s connection, and those it names, stay behind', async (t) => {
    const raw = await openRaw(gateway.url, { t })
    const body = JSON.stringify(jobOf())
    const after = node.requests.at(-1)?.n ?? 0
    raw.send(
      'POST /api/jobs HTTP/1.1\r\nHost: gateway.example\r\n' +
        'Connection: keep-alive, X-Secret, x-forwarded-for, Content-Type\r\nX-Secret: 1\r\nX-Open: 2\r\n' +
        'Keep-Alive: timeout=9\r\nTE: trailers\r\nTrailer: X-Sum\r\nUpgrade: h2c\r\nProxy-Connection: close\r\n' +
        'Proxy-Authorization: Basic eDp5\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n' +
        `\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\nX-Sum: 1\r\n\r\n`,
    )
    await raw.until((received) => received.includes('"id"'))
    const seen = await node.waitFor('submit', { after })
    const names = namesOf(seen)
    for (const name of ['x-secret', 'keep-alive', 'te', 'trailer', 'upgrade', 'proxy-connection', 'x-sum']) {
      assert.ok(!names.includes(name), name)
    }
    for (const name of ['proxy-authorization', 'transfer-encoding']) assert.ok(!names.includes(name), name)
    assert.equal(seen.header('x-open'), '2')
    // What the gateway itself says cannot be named away.
    assert.equal(seen.header('x-forwarded-for'), '127.0.0.1')
    assert.deepEqual(seen.headerLines('content-type'), ['application/json'])
    assert.deepEqual(seen.headerLines('content-length'), [String(body.length)])
    assert.equal(seen.text, body)
  })

  test('Expect never goes on', async (t) => {
    const raw = await openRaw(gateway.url, { t })
    const body = JSON.stringify(jobOf())
    const after = node.requests.at(-1)?.n ?? 0
    raw.send(`POST /api/jobs HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: ${body.length}\r\n\r\n`)
    await raw.until((received) => received === 'HTTP/1.1 100 Continue\r\n\r\n')
    raw.send(body)
    await raw.until((received) => received.includes('"id"'))
    assert.equal((await node.waitFor('submit', { after })).header('expect'), undefined)
  })

  test('whatever the client calls its body, it is application/json', async () => {
    const types = [undefined, 'text/plain', 'application/x-www-form-urlencoded', 'application/json; charset=utf-16', '']
    for (const type of types) {
      const headers: Headers = type === undefined ? {} : { 'Content-Type': type }
      const after = node.requests.at(-1)!.n
      const answer = await request(`${gateway.url}/api/jobs`, {
        method: 'POST',
        headers,
        body: JSON.stringify(jobOf()),
      })
      assert.equal(answer.status, 200, type)
      assert.deepEqual((await node.waitFor('submit', { after })).headerLines('content-type'), ['application/json'])
    }
  })

  test('streams and batches are application/json too', async () => {
    const headers = { 'Content-Type': 'text/plain' }
    const open = await openStream(`${gateway.url}/api/jobs/stream`, { body: jobOf(), headers })
    await open.ended
    assert.equal(node.seen('stream').at(-1)!.header('content-type'), 'application/json')
    await post(`${gateway.url}/api/jobs/batch`, [jobOf()], { headers })
    assert.equal(node.seen('batch').at(-1)!.header('content-type'), 'application/json')
  })

  test('what is meant for the gateway alone stays behind', async () => {
    const seen = await sentWith({
      'Accept-Encoding': 'gzip',
      'Content-Encoding': 'identity',
      'Idempotency-Key': 'k-1',
      'X-Infernet-Cost': '2',
      'X-Infernet-Failover': 'off',
    })
    const names = ['accept-encoding', 'content-encoding', 'idempotency-key', 'x-infernet-cost', 'x-infernet-failover']
    for (const name of names) assert.equal(seen.header(name), undefined, name)
  })

  test('Via names the gateway, after those whom the request passed before', async () => {
    assert.match((await sentWith({})).header('via')!, /^1\.1 infernet-gateway-[0-9a-f]+$/)
    const seen = await sentWith({ Via: '1.0 fred, 1.1 other' })
    assert.match(seen.headerLines('via').join(), /^1\.0 fred, 1\.1 other, 1\.1 infernet-gateway-[0-9a-f]+$/)
  })
})

describe('towards the client', () => {
  test('headers of the node’s connection, those it names, and its rate limits stay behind', async () => {
    await node.answer(200, 'submit', {
      times: 1,
      body: '{"id":"from-the-node"}',
      headers: {
        Connection: 'close, X-Hop',
        'X-Hop': '1',
        'X-Kept': '2',
        'Keep-Alive': 'timeout=1',
        'Proxy-Authenticate': 'Basic',
        'RateLimit-Limit': '60',
        'RateLimit-Remaining': '59',
        'RateLimit-Reset': '0',
        'RateLimit-Policy': '60;w=60',
        'X-RateLimit-Limit': '60',
        'X-RateLimit-Remaining': '3',
        'Alt-Svc': 'h3=":443"',
        'Retry-After': '3',
        'X-Request-Id': 'the-nodes-own',
        'X-Infernet-Node': 'somebody-else',
        'X-Routing-Reason': 'made up',
      },
    })
    const { headers } = await post(`${gateway.url}/api/jobs`, jobOf(), { headers: { 'X-Request-Id': 'mine' } })
    const names = Object.keys(headers).filter((name) => /hop|keep-alive|proxy|ratelimit|alt-svc/.test(name))
    assert.deepEqual(names, [])
    assert.equal(headers['x-kept'], '2')
    assert.equal(headers['retry-after'], '3')
    assert.equal(headers['x-request-id'], 'mine')
    assert.equal(headers['x-infernet-node'], node.address)
    assert.equal(headers['x-routing-reason'], undefined)
  })

  test('a node’s own limits are no client’s business, on any call', async (t) => {
    const limited = await startFakeNode({ rateLimit: 60 }, t)
    const other = await gatewayFor(t, [limited])
    const body = jobOf()
    const answers = [
      await post(`${other.url}/api/jobs`, body),
      await openStream(`${other.url}/api/jobs/stream`, { body }),
      await post(`${other.url}/api/jobs/batch`, [body]),
      await request(`${other.url}/info`),
      await request(`${other.url}/resources`),
      await request(`${other.url}/api/jobs`),
    ]
    for (const { status, headers } of answers) {
      assert.equal(status, 200)
      assert.deepEqual(
        Object.keys(headers).filter((name) => name.includes('ratelimit')),
        [],
      )
    }
  })

  test('headers of 60 KB go on', async (t) => {
    const large = 'x'.repeat(20_000)
    const headers = { 'X-A': large, 'X-B': large, 'X-C': large }
    await node.answer(400, 'submit', { times: 1, headers, body: '{"error":"no"}' })
    const client = await openRaw(gateway.url, { t })
    const body = JSON.stringify(jobOf())
    client.send(`POST /api/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    const received = await client.until((text) => /\r\n\r\n.*\}$/s.test(text))
    assert.match(received, /^HTTP\/1\.1 400 /)
    assert.equal(received.split(large).length, 4)
  })

  test('every forwarded answer names the node that gave it', async () => {
    const body = jobOf()
    const open = await openStream(`${gateway.url}/api/jobs/stream`, { body })
    await open.ended
    assert.equal(open.headers['x-infernet-node'], node.address)
    assert.equal((await post(`${gateway.url}/api/jobs`, body)).headers['x-infernet-node'], node.address)
    assert.equal((await post(`${gateway.url}/api/jobs/batch`, [body])).headers['x-infernet-node'], node.address)
    await node.answer(500, 'submit', { times: 1 })
    assert.equal((await post(`${gateway.url}/api/jobs`, body)).headers['x-infernet-node'], node.address)
  })
})
