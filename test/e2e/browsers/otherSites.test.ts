import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { startGateway } from '../../kit/builders/gateways.ts'
import { jobOf, statusReport } from '../../kit/builders/jobs.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { openRaw, post, request } from '../../kit/http.ts'
import type { Answer } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { assertError } from '../support.ts'

const APP = 'https://app.example'

const file = { after }
const node = await startFakeNode({ rateLimit: 0 }, file)
const service = await startFakeOpenAi({ models: ['small-model'] }, file)

async function gatewayWith(env: Record<string, string> = {}): Promise<Gateway> {
  return startGateway(file, {
    nodes: [node],
    services: [{ name: 'service', url: service.url }],
    env,
  })
}

const [closed, sharing, open] = await Promise.all([
  gatewayWith(),
  gatewayWith({ CORS_ORIGINS: `${APP},http://localhost:3000`, OPS_KEY: 'ops', API_KEYS: 'key' }),
  gatewayWith({ CORS_ORIGINS: '*' }),
])

type Headers = Record<string, string>
const chat = { model: 'small-model', messages: [{ role: 'user', content: 'hello' }] }

/** What may change something, on all kinds of paths. */
const WRITES: [method: string, path: string, body: object][] = [
  ['POST', '/api/jobs', jobOf()],
  ['POST', '/api/jobs/stream', jobOf()],
  ['POST', '/api/jobs/batch', [jobOf()]],
  ['PUT', '/api/status', {}],
  ['POST', '/route/', { endpoint: 'echo' }],
  ['POST', '/v1/chat/completions', chat],
  ['DELETE', '/v1/responses/resp_1', {}],
  ['DELETE', '/api/jobs', {}],
  ['POST', '/stats', {}],
  ['POST', '/nothing', {}],
]

const write = (at: Gateway, [method, path, body]: (typeof WRITES)[number], headers: Headers): Promise<Answer> =>
  request(at.url + path, { method, headers: { 'Content-Type': 'text/plain', ...headers }, body: JSON.stringify(body) })

const corsHeadersOf = ({ headers }: Answer): string[] =>
  Object.keys(headers).filter((name) => name.startsWith('access-control-'))

describe('a POST, PUT or DELETE from a page of another site', () => {
  test('is a 403 that names CORS_ORIGINS, and reaches no backend', async () => {
    const port = closed.port
    const foreign: Headers[] = [
      { 'Sec-Fetch-Site': 'cross-site' },
      { 'Sec-Fetch-Site': 'same-site' },
      { 'Sec-Fetch-Site': 'cross-site', Origin: closed.url },
      { 'Sec-Fetch-Site': 'cross-site', Origin: APP },
      { 'Sec-Fetch-Site': 'same-origin, cross-site' },
      { Origin: APP },
      { Origin: 'null' },
      { Origin: `http://127.0.0.2:${port}` },
      { Origin: `http://127.0.0.1:${port + 1}` },
      { Origin: `https://127.0.0.1:${port}` },
      { Origin: `http://127.0.0.1:${port}.evil.example` },
      // Believed only from a proxy that TRUST_PROXY names.
      { Origin: APP, 'X-Forwarded-Host': 'app.example', 'X-Forwarded-Proto': 'https' },
    ]
    const seen = node.requests.filter(({ method }) => method !== 'GET').length + service.seen('chat').length
    for (const headers of foreign) {
      for (const what of WRITES) {
        const answer = await write(closed, what, headers)
        assert.match(assertError(answer, 403), /CORS_ORIGINS/, `${what[0]} ${what[1]} ${JSON.stringify(headers)}`)
        assert.deepEqual(corsHeadersOf(answer), [])
      }
    }
    assert.equal(node.requests.filter(({ method }) => method !== 'GET').length + service.seen('chat').length, seen)
  })

  test('is none where the page is the gateway’s own, or the user sends it', async () => {
    const own: Headers[] = [
      {},
      { 'Sec-Fetch-Site': 'same-origin' },
      { 'Sec-Fetch-Site': 'none' },
      { Origin: closed.url },
      { Origin: 'http://gateway.example', Host: 'gateway.example' },
      { Origin: 'http://gateway.example', Host: 'Gateway.Example:80' },
    ]
    for (const headers of own) {
      for (const what of WRITES)
        assert.notEqual((await write(closed, what, headers)).status, 403, JSON.stringify(headers))
      assert.equal((await write(closed, WRITES[0]!, headers)).status, 200)
    }
  })

  test('is judged by the address that trusted proxies tell', async () => {
    const behind = await gatewayWith({ TRUST_PROXY: 'loopback' })
    const forwarded = { 'X-Forwarded-Host': 'gateway.example', 'X-Forwarded-Proto': 'https' }
    const send = async (origin: string): Promise<number> =>
      (await write(behind, WRITES[0]!, { ...forwarded, Origin: origin })).status
    assert.equal(await send('https://gateway.example'), 200)
    for (const origin of ['http://gateway.example', behind.url, 'https://gateway.example:8443']) {
      assert.equal(await send(origin), 403, origin)
    }
  })

  test('passes from an origin that CORS_ORIGINS allows, but never to operators’ pages', async () => {
    for (const site of [{}, { 'Sec-Fetch-Site': 'cross-site' }]) {
      const headers = { Origin: APP, 'X-API-Key': 'key', ...site }
      for (const what of WRITES) {
        const answer = await write(sharing, what, headers)
        assert.equal(answer.status === 403, what[1] === '/stats', `${what[0]} ${what[1]}: ${answer.status}`)
      }
      assert.equal((await write(sharing, WRITES[0]!, headers)).status, 200)
      assertError(await write(sharing, WRITES[0]!, { ...headers, Origin: 'https://other.example' }), 403)
      assertError(await write(sharing, WRITES[0]!, { ...headers, Origin: 'null' }), 403)
    }
    assertError(await write(sharing, WRITES[0]!, { 'Sec-Fetch-Site': 'cross-site', 'X-API-Key': 'key' }), 403)
  })

  test('passes from any origin where CORS_ORIGINS says so', async () => {
    for (const headers of [{ Origin: APP }, { Origin: 'null' }, { 'Sec-Fetch-Site': 'cross-site' }] as Headers[]) {
      assert.equal((await write(open, WRITES[0]!, headers)).status, 200)
      assertError(await write(open, ['POST', '/stats', {}], headers), 403)
    }
  })
})

test('reads from other sites are answered, without a word that lets their pages see the answer', async () => {
  for (const path of ['/api/jobs', '/info', '/v1/models', '/stats', '/health']) {
    const answer = await request(closed.url + path, { headers: { 'Sec-Fetch-Site': 'cross-site', Origin: APP } })
    assert.equal(answer.status, 200, path)
    assert.deepEqual(corsHeadersOf(answer), [])
  }
})

describe('pages of an allowed origin', () => {
  const key = { 'X-API-Key': 'key' }
  const READS = ['/api/jobs', '/info', '/resources', '/v1/models', '/api/v1/containers', '/pubkey', '/health', '/livez']

  test('may read every answer to a client, errors included', async () => {
    const answers = [
      ...(await Promise.all(READS.map((path) => request(sharing.url + path, { headers: { Origin: APP, ...key } })))),
      ...(await Promise.all(
        WRITES.filter(([, path]) => path !== '/stats').map((what) => write(sharing, what, { Origin: APP, ...key })),
      )),
      // 401, 404, 400, 405
      await request(`${sharing.url}/info`, { headers: { Origin: APP } }),
      await request(`${sharing.url}/nothing`, { headers: { Origin: APP, ...key } }),
      await post(`${sharing.url}/api/jobs`, 'nonsense', { headers: { Origin: APP, ...key } }),
      await request(`${sharing.url}/v1/audio/%zz`, { method: 'POST', headers: { Origin: APP, ...key } }),
      await request(`${sharing.url}/info`, { method: 'PATCH', headers: { Origin: APP, ...key } }),
    ]
    for (const { headers, status, text } of answers) {
      assert.equal(headers['access-control-allow-origin'], APP, `${status} ${text}`)
      assert.equal(headers['access-control-allow-credentials'], undefined)
      assert.match(headers.vary ?? '', /\bOrigin\b/)
    }
    assert.ok(new Set(answers.map(({ status }) => status)).size >= 5)
  })

  test('may read the headers that the gateway writes', async () => {
    const answer = await write(sharing, WRITES[0]!, { Origin: APP, ...key })
    const exposed = (answer.headers['access-control-expose-headers'] as string).toLowerCase().split(/ *, */)
    for (const name of [
      'x-infernet-node',
      'x-request-id',
      'retry-after',
      'idempotent-replayed',
      'ratelimit-limit',
      'ratelimit-remaining',
      'ratelimit-reset',
      'ratelimit-policy',
    ]) {
      assert.ok(exposed.includes(name), name)
    }
  })

  test('get a preflight’s answer with Allow, on every client path', async () => {
    const headers = {
      Origin: APP,
      'Access-Control-Request-Method': 'POST',
      'Access-Control-Request-Headers': 'content-type,x-api-key',
    }
    for (const path of [
      '/api/jobs',
      '/api/jobs/stream',
      '/api/status',
      '/route/',
      '/v1/chat/completions',
      '/info',
      '//api/jobs',
    ]) {
      const answer = await request(sharing.url + path, { method: 'OPTIONS', headers })
      assert.equal(answer.status, 204, path)
      assert.equal(answer.headers['access-control-allow-origin'], APP)
      assert.match(answer.headers['access-control-allow-methods'] ?? '', /POST/)
      assert.equal(answer.headers['access-control-allow-headers'], 'content-type,x-api-key')
      assert.match(answer.headers.allow ?? '', /OPTIONS/)
      const other = await request(sharing.url + path, {
        method: 'OPTIONS',
        headers: { ...headers, Origin: 'https://other.example' },
      })
      assert.equal(other.status, 204)
      assert.match(other.headers.allow ?? '', /OPTIONS/)
      assert.deepEqual(corsHeadersOf(other), [])
      assert.match(other.headers.vary ?? '', /\bOrigin\b/)
    }
  })

  test('may not read operators’ pages', async () => {
    for (const path of ['/stats', '/STATS/', '//stats', '/services', '/metrics', '/dashboard']) {
      for (const at of [sharing, open]) {
        const headers = { Origin: APP, Authorization: 'Bearer ops' }
        const answer = await request(at.url + path, { headers })
        assert.equal(answer.status, 200, path)
        assert.deepEqual(corsHeadersOf(answer), [], path)
        assert.deepEqual(corsHeadersOf(await request(at.url + path, { method: 'OPTIONS', headers })), [])
      }
    }
  })

  test('are all pages where CORS_ORIGINS is *', async () => {
    for (const origin of [APP, 'null']) {
      const answer = await write(open, WRITES[0]!, { Origin: origin })
      assert.equal(answer.headers['access-control-allow-origin'], '*')
    }
  })

  test('get what a backend says that its answer varies by beside what the gateway says', async () => {
    await node.answer(400, 'submit', { times: 1, headers: { Vary: 'Accept-Language' }, body: '{"error":"no"}' })
    const { headers } = await write(sharing, WRITES[0]!, { Origin: APP, ...key })
    assert.match(headers.vary ?? '', /\bOrigin\b.*\bAccept-Language\b/)
  })
})

describe('whatever a backend writes', () => {
  const hostile = {
    'Content-Type': 'text/html',
    'Set-Cookie': 'a=1',
    'Clear-Site-Data': '"*"',
    'Strict-Transport-Security': 'max-age=1',
    'Access-Control-Allow-Origin': '*',
    'Access-Control-Allow-Credentials': 'true',
    'Content-Security-Policy': "default-src *; script-src * 'unsafe-inline'",
    'X-Content-Type-Options': 'none',
    'WWW-Authenticate': 'Basic realm="gateway"',
    Location: 'https://evil.example/',
    Refresh: '0; url=https://evil.example/',
    Link: '</x>; rel=preload',
    'Service-Worker-Allowed': '/',
  }

  function assertData({ headers }: Answer, what: string): void {
    assert.equal(headers['x-content-type-options'], 'nosniff', what)
    assert.equal(headers['content-security-policy'], 'sandbox', what)
    const gone = Object.keys(hostile)
      .slice(1)
      .map((name) => name.toLowerCase())
    for (const name of gone) {
      if (!['content-security-policy', 'x-content-type-options'].includes(name))
        assert.equal(headers[name], undefined, `${what}: ${name}`)
    }
  }

  test('is data, as which it is marked, on every path', async () => {
    const at = closed.url
    const { id } = (await post(`${at}/api/jobs`, jobOf())).json<{ id: string }>()
    const kept = { headers: { 'Idempotency-Key': 'kept' } }
    const answers: [string, Promise<Answer>][] = [
      ['job', post(`${at}/api/jobs`, jobOf())],
      ['stream', post(`${at}/api/jobs/stream`, jobOf())],
      ['batch', post(`${at}/api/jobs/batch`, [jobOf()])],
      ['kept', post(`${at}/api/jobs`, jobOf(), kept).then(() => post(`${at}/api/jobs`, jobOf(), kept))],
      ['result', request(`${at}/api/jobs?id=${id}`)],
      ['many results', request(`${at}/api/jobs?${Array.from({ length: 20 }, (_, i) => `id=${i}`).join('&')}&id=${id}`)],
      ['info', request(`${at}/info`)],
      ['resources', request(`${at}/resources`)],
      ['resources of a model', request(`${at}/resources?model_id=m`)],
      ['all resources', request(`${at}/api/v1/resources`)],
      ['containers', request(`${at}/api/v1/containers`)],
      ['models', request(`${at}/v1/models`)],
      ['chat', post(`${at}/v1/chat/completions`, chat)],
      ['events', post(`${at}/v1/chat/completions`, { ...chat, stream: true })],
      ['error of ours', post(`${at}/v1/chat/completions`, { ...chat, model: '<script>' })],
      ['status', request(`${at}/api/status`, { method: 'PUT', body: statusReport(id, 'running') })],
    ]
    for (const [what, answer] of answers) assertData(await answer, what)
  })

  test('acts for the gateway’s origin by none of its headers', async () => {
    for (const status of [200, 302, 307, 401, 500, 503]) {
      await node.answer(status, 'submit', { times: 1, headers: hostile, body: '{"id":"<script>"}' })
      assertData(await post(`${closed.url}/api/jobs`, jobOf()), `job ${status}`)
      await node.answer(status, 'stream', { times: 1, headers: hostile, body: '<script>\n<script>alert(1)</script>' })
      assertData(await post(`${closed.url}/api/jobs/stream`, jobOf()), `stream ${status}`)
      await node.answer(status, 'batch', { times: 1, headers: hostile, body: '[{"error":"<script>"}]' })
      assertData(await post(`${closed.url}/api/jobs/batch`, [jobOf()]), `batch ${status}`)
      await service.answer(status, 'chat', { times: 1, headers: hostile, body: '<script>alert(1)</script>' })
      assertData(await post(`${closed.url}/v1/chat/completions`, chat), `chat ${status}`)
    }
  })
})

test('pages of figures load and run nothing, and are framed by none', async () => {
  for (const path of [
    '/stats',
    '/services',
    '/metrics',
    '/health',
    '/livez',
    '/readyz',
    '/openapi.json',
    '/dashboard',
  ]) {
    const { headers } = await request(closed.url + path)
    assert.equal(headers['x-content-type-options'], 'nosniff', path)
    assert.match(headers['content-security-policy'] as string, /^default-src 'none'; .*frame-ancestors 'none'/, path)
  }
})

test('of two Origin lines the first is the one that counts', async (t) => {
  const raw = await openRaw(closed.url, { t })
  raw.send(`POST /api/jobs HTTP/1.1\r\nHost: x\r\nOrigin: ${APP}\r\nOrigin: http://x\r\nContent-Length: 2\r\n\r\n{}`)
  await raw.until((received) => received.startsWith('HTTP/1.1 403 '))
})
