import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { entryOf, gatewayForServices } from '../../kit/builders/gateways.ts'
import { openRaw, post, request } from '../../kit/http.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { assertError } from '../support.ts'
import { askChat, chat, isCall, lastCall } from './support.ts'

const file = { after }
const [small, large] = await Promise.all([
  startFakeOpenAi({ models: ['small-model'] }, file),
  startFakeOpenAi({ models: ['large-model', 'org/large:7b'], prefix: '' }, file),
])
const gateway = await gatewayForServices(file, [entryOf(small), entryOf(large)])

/** Bytes that are neither text nor JSON. */
const SOUND = Buffer.from(Array.from({ length: 3000 }, (_, i) => (i * 31) & 255))

const FORM_TYPE = { 'Content-Type': 'multipart/form-data; boundary="the boundary"' }

function form(parts: readonly [head: string, value: string | Buffer][]): Buffer {
  const pieces = parts.flatMap(([head, value]) => [`--the boundary\r\n${head}\r\n\r\n`, value, '\r\n'])
  return Buffer.concat([...pieces, '--the boundary--\r\n'].map((piece) => Buffer.from(piece)))
}

const field = (name: string): string => `Content-Disposition: form-data; name="${name}"`
const FILE = 'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav'

describe('a request goes to the service with its model, at the path that the service has', () => {
  const SHORT_PATHS = [
    ...['chat/completions', 'completions', 'embeddings', 'responses', 'messages', 'rerank', 'score', 'tokenize'],
  ]
  const PATHS = [
    ...SHORT_PATHS.flatMap((path) => [`/v1/${path}`, `/${path}`]),
    ...['/v1/messages/count_tokens', '/v1/moderations', '/v1/audio/speech', '/v1/images/generations'],
  ]
  for (const path of PATHS) {
    test(`for ${path}`, async () => {
      const asked = { prompt: 'Hello', input: 'Hello', messages: [{ content: 'Hello' }], query: 'a', documents: ['a'] }
      for (const [service, model, prefix] of [
        [small, 'small-model', '/v1'],
        [large, 'large-model', ''],
        [large, 'org/large:7b', ''],
      ] as const) {
        const body = JSON.stringify({ ...asked, model, seed: 1 }).replace(
          '"seed":1',
          '"seed":123456789012345678901, "x":1e2',
        )
        const answer = await post(`${gateway.url}${path}`, body)
        assert.equal(answer.status, 200, answer.text)
        assert.equal(answer.headers['x-infernet-node'], service.address)
        const seen = lastCall(service)
        assert.equal(seen.url, prefix + path.replace('/v1', ''))
        assert.equal(seen.text, body)
      }
    })
  }

  test('with its query, and a trailing slash makes no difference', async () => {
    await post(`${gateway.url}/v1/chat/completions/?api-version=2&x=/`, chat())
    assert.equal(lastCall(small).url, '/v1/chat/completions?api-version=2&x=/')
  })

  test('also where the request names the whole URL, or spells the path in capitals', async (t) => {
    const text = JSON.stringify(chat())
    for (const target of [`http://x/v1/chat/completions?y`, '/V1/Chat/completions?y']) {
      const client = await openRaw(gateway.url, { t })
      client.send(
        `POST ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
      )
      await client.closed()
      assert.match(lastCall(small).url, /^\/v1\/chat\/completions\?y$/i)
    }
  })

  test('answers that are no text stay as they are', async () => {
    const speech = { model: 'small-model', input: 'Hello', voice: 'a' }
    const [direct, answer] = await Promise.all(
      [small, gateway].map(({ url }) => post(`${url}/v1/audio/speech`, speech)),
    )
    assert.equal(answer!.headers['content-type'], 'audio/mpeg')
    assert.deepEqual(answer!.body, direct!.body)
  })
})

describe('a form', () => {
  for (const path of ['/v1/audio/transcriptions', '/v1/images/edits']) {
    test(`at ${path} goes by its field "model", wherever it stands, its bytes as they are`, async () => {
      for (const body of [
        form([
          [field('model'), 'large-model'],
          [FILE, SOUND],
        ]),
        form([
          [FILE, SOUND],
          [field('language'), 'de'],
          [field('model'), 'large-model'],
        ]),
        // What a file holds is none of our business.
        form([
          [FILE, 'RIFF--the boundary \r\nContent-Disposition: form-data; name="model"\r\n\r\nno'],
          [field('model'), 'large-model'],
        ]),
      ]) {
        const answer = await post(`${gateway.url}${path}`, body, { headers: FORM_TYPE })
        assert.equal(answer.status, 200, answer.text)
        const seen = lastCall(large)
        assert.deepEqual(seen.body, body)
        assert.equal(seen.header('content-type'), FORM_TYPE['Content-Type'])
      }
    })
  }

  test('without that field, or without a boundary, is a 400', async () => {
    const url = `${gateway.url}/v1/audio/transcriptions`
    const without = form([
      [FILE, SOUND],
      [field('other'), 'small-model'],
      [field('model'), ''],
    ])
    assert.match(assertError(await post(url, without, { headers: FORM_TYPE }), 400), /model/)
    const headers = { 'Content-Type': 'multipart/form-data' }
    assert.match(assertError(await post(url, without, { headers }), 400), /boundary/)
  })

  test('of a hostile shape is refused at once', async () => {
    const headers = { 'Content-Type': 'multipart/form-data; boundary=X' }
    const body = Buffer.from(`${'\r\n--X'.repeat(1_500_000)}\r\n\r\n`)
    const startMs = performance.now()
    assertError(await post(`${gateway.url}/v1/audio/transcriptions`, body, { headers }), 400)
    // Well below a second, where the work grows with the length alone; minutes where it grows with its square.
    assert.ok(performance.now() - startMs < 20_000)
  })
})

describe('what cannot be forwarded', () => {
  test('a model that nobody has is a 404 that names it, and does not ask for another try', async () => {
    const answer = await askChat(gateway, { model: 'huge-model', messages: [] })
    assert.match(assertError(answer, 404, 'model_not_found'), /'huge-model'/)
    assert.equal(answer.headers['retry-after'], undefined)
  })

  test('a body without a model is a 400 that says so', async () => {
    for (const body of ['{}', '{"model":""}', '{"model":null}', '{"model":5}', '{"model":["small-model"]}']) {
      assert.match(assertError(await post(`${gateway.url}/v1/chat/completions`, body), 400), /model/)
    }
  })

  test('a body that is no JSON object is a 400', async () => {
    for (const body of [
      '',
      'model=small-model',
      '[]',
      '"small-model"',
      '{"model":"small-model"',
      '{"model":"small-model"} x',
    ]) {
      assertError(await post(`${gateway.url}/v1/chat/completions`, body), 400)
    }
  })

  test('paths outside of /v1 are a 404, and so are those that a service could read as another path', async (t) => {
    for (const path of ['/v1', '/files', '/fine_tuning/jobs', '/chat', '/moderations', '/audio/speech']) {
      assertError(await post(`${gateway.url}${path}`, chat()), 404, 'not_found')
    }
    const { length } = small.requests
    const text = JSON.stringify(chat())
    for (const path of [
      ...['/v1/audio/../admin', '/v1/audio/..', '/v1/images/%2e%2e/admin', '/v1/audio/x%2f..%2F..%2fadmin'],
      ...['/v1/audio/..%5cadmin', '/v1/..', '/v1/../admin', '/v1/./chat/completions', '/v1/chat/./completions'],
      ...['/v1//chat/completions', '/v1/chat//completions', '/v1/chat%2fcompletions', '/v1/chat\\completions', '/v1//'],
      ...['/v1/chat%2Ecompletions', '/v1/%2E%2E/admin', '/openai/deployments/small-model/../admin'],
      ...['/openai/deployments/small-model/chat//completions', '/openai/../admin', '/openai/v1/../admin'],
    ]) {
      const client = await openRaw(gateway.url, { t })
      client.send(
        `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
      )
      assert.match(await client.closed(), /^HTTP\/1\.1 404 /, path)
    }
    assert.deepEqual(small.requests.slice(length).filter(isCall), [])
  })

  test('another method is a 405 with Allow', async () => {
    const answer = await request(`${gateway.url}/v1/chat/completions`)
    assertError(answer, 405)
    assert.equal(answer.headers.allow, 'POST, OPTIONS')
    const models = await post(`${gateway.url}/v1/models`, chat())
    assertError(models, 405)
    assert.equal(models.headers.allow, 'GET, HEAD, OPTIONS')
  })

  test('a path of a hostile length costs no time', async () => {
    const startMs = performance.now()
    for (let i = 0; i < 20; i++) await post(`${gateway.url}/v1/audio/${'/'.repeat(50_000)}x`, chat())
    // Milliseconds each, where the work grows with the length alone; seconds each where it grows with its square.
    assert.ok(performance.now() - startMs < 15_000)
  })
})

test('the models are those of all services, at either path', async () => {
  for (const path of ['/v1/models', '/models', '/v1/models/']) {
    const answer = await request(`${gateway.url}${path}`)
    assert.equal(answer.status, 200)
    const { object, data } = answer.json<{ object: string; data: object[] }>()
    assert.equal(object, 'list')
    const entry = { object: 'model', created: 1_700_000_000, owned_by: 'simulated' }
    assert.deepEqual(
      data,
      ['large-model', 'org/large:7b', 'small-model'].map((id) => ({ id, ...entry })),
    )
  }
})
