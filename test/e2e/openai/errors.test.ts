import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { entryOf, gatewayForServices } from '../../kit/builders/gateways.ts'
import { openRaw, post, request } from '../../kit/http.ts'
import type { Answer } from '../../kit/http.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { assertError } from '../support.ts'
import { chat, lastCall, startHandService } from './support.ts'

const file = { after }
const service = await startFakeOpenAi({ models: ['small-model'] }, file)
const KEY = { Authorization: 'Bearer the-key' }
const gateway = await gatewayForServices(file, [entryOf(service)], {
  API_KEYS: 'the-key,spent-key',
  MAX_BODY: '10kb',
})
const { url } = gateway

/** A path of each shape of error; `assertError` knows which is which. */
const PATHS = ['/v1/chat/completions', '/v1/messages', '/chat/completions']

/** Passes where the answer is an error as OpenAI's SDKs read it, with this code, at paths that have OpenAI's shape. */
function isError(answer: Answer, status: number, code: string): void {
  assertError(answer, status, code)
  if (status === 429 || status === 503) assert.ok(Number(answer.headers['retry-after']) >= 1)
}

describe('every error has the shape that SDKs of its path read, also after', () => {
  const large = chat({}, { filler: 'x'.repeat(20_000) })
  const cases: [what: string, status: number, code: string, ask: (path: string) => Promise<Answer>][] = [
    ['no key', 401, 'invalid_api_key', (path) => post(url + path, chat())],
    ['another method', 405, 'method_not_allowed', (path) => request(url + path, { headers: KEY })],
    ['a body that is not JSON', 400, 'invalid_json', (path) => post(url + path, '{"model', { headers: KEY })],
    ['no model', 400, 'missing_required_parameter', (path) => post(url + path, {}, { headers: KEY })],
    ['a body that is too large', 413, 'request_too_large', (path) => post(url + path, large, { headers: KEY })],
    ['a page of another site', 403, 'origin_not_allowed', (path) =>
      post(url + path, chat(), { headers: { ...KEY, 'Sec-Fetch-Site': 'cross-site' } })],
    ['an expectation', 417, 'expectation_failed', (path) =>
      post(url + path, chat(), { headers: { ...KEY, Expect: 'the unexpected' } })],
  ] // prettier-ignore
  for (const [what, status, code, ask] of cases) {
    test(what, async () => {
      for (const path of PATHS) isError(await ask(path), status, code)
    })
  }

  test('a path that does not exist', async () => {
    for (const path of ['/v1', '/v1/', '/v1/unknown', '/V1/unknown', '/v1/messages/unknown', '/openai/x', '/unknown']) {
      isError(await request(url + path, { headers: KEY }), 404, 'not_found')
    }
  })

  test('a path with a broken percent escape', async () => {
    for (const path of ['/v1/images/%zz', '/v1/audio/%zz']) {
      isError(await request(url + path, { headers: KEY, method: 'POST' }), 400, 'bad_request')
    }
  })

  test('a request that already passed through', async () => {
    await post(`${url}/v1/chat/completions`, chat(), { headers: KEY })
    const Via = lastCall(service).header('via')!
    for (const path of PATHS) {
      isError(await post(url + path, chat(), { headers: { ...KEY, Via } }), 508, 'loop_detected')
    }
  })

  test('a body that breaks off', async (t) => {
    const raw = await openRaw(url, { t })
    raw.send(
      'POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer the-key\r\nTransfer-Encoding: chunked\r\n\r\nno chunk',
    )
    const received = await raw.closed()
    assert.match(received, /^HTTP\/1\.1 400 /)
    assert.equal(
      (JSON.parse(received.slice(received.indexOf('{'))) as { error: { code: string } }).error.code,
      'bad_request',
    )
  })

  test('a service that cannot be reached, that resets, and that is silent', async (t) => {
    const byHand = await startHandService(t)
    const slow = await gatewayForServices(t, [entryOf(byHand)], { PROXY_TIMEOUT: '0.3', QUEUE_SIZE: '0' })
    for (const path of PATHS) {
      const resetting = post(slow.url + path, chat())
      ;(await byHand.next()).response.destroy()
      isError(await resetting, 502, 'backend_reset')
    }
    for (const path of PATHS) isError(await post(slow.url + path, chat()), 504, 'backend_timeout')
  })
})

test('a caller over the limit gets a rate limit error', async (t) => {
  const limited = await gatewayForServices(t, [entryOf(service)], { PROXY_RATELIMIT_REQS_PER_MIN: '1' })
  await post(`${limited.url}/v1/chat/completions`, chat())
  for (const path of PATHS) isError(await post(limited.url + path, chat()), 429, 'rate_limit_exceeded')
})

test('a draining gateway refuses in the shape of the path, with Retry-After', async (t) => {
  const byHand = await startHandService(t)
  const draining = await gatewayForServices(t, [entryOf(byHand)])
  const running = post(`${draining.url}/v1/chat/completions`, chat())
  const { response } = await byHand.next()
  draining.signal('SIGTERM')
  await draining.waitForLog(({ message }) => message === 'draining')
  for (const path of PATHS) isError(await post(draining.url + path, chat()), 503, 'shutting_down')
  response.end('{}')
  assert.equal((await running).status, 200)
})

test("a service's own error passes through as it came", async () => {
  const body = '{"detail": [ {"msg":"of another shape"} ]}'
  for (const path of PATHS) {
    await service.answer(422, path.includes('messages') ? 'messages' : 'chat', { times: 1, body })
    const answer = await post(url + path, chat(), { headers: KEY })
    assert.deepEqual([answer.status, answer.text], [422, body])
  }
})
