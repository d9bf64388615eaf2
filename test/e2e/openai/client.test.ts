import OpenAI, {
  APIConnectionError,
  APIError,
  AuthenticationError,
  BadRequestError,
  RateLimitError,
  toFile,
} from 'openai'
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { entryOf, gatewayForServices } from '../../kit/builders/gateways.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { inFlightIs } from './support.ts'

const file = { after }
const service = await startFakeOpenAi({ models: ['small-model', 'other-model'] }, file)
const gateway = await gatewayForServices(file, [entryOf(service)])

function clientOf({ url }: Gateway, apiKey = 'sk-any'): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 })
}

const client = clientOf(gateway)
const model = 'small-model'
const messages = [{ role: 'user' as const, content: 'Say it again' }]
/** A member that only fake services read. */
const sim = (what: object): object => ({ sim: what })

async function errorOf(promise: Promise<unknown>): Promise<InstanceType<typeof APIError>> {
  const error: unknown = await promise.then(
    () => assert.fail('it did not fail'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof APIError, String(error))
  return error
}

describe('the official client', () => {
  test('chats, in one piece', async () => {
    const answer = await client.chat.completions.create({ model, messages })
    assert.equal(answer.choices[0]!.message.content, 'echo: Say it again')
    assert.equal(answer.usage?.completion_tokens, 4)
  })

  test('chats, streaming, and hears the usage', async () => {
    const stream = await client.chat.completions.create({
      ...{ model, messages, stream: true, stream_options: { include_usage: true } },
      stream: true,
    })
    let text = ''
    let tokens: number | undefined
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? ''
      tokens = chunk.usage?.completion_tokens ?? tokens
    }
    assert.equal(text, 'echo: Say it again')
    assert.equal(tokens, 4)
  })

  test('completes, embeds, moderates and uses responses, streaming too', async () => {
    const completion = await client.completions.create({ model, prompt: 'Once' })
    assert.equal(completion.choices[0]!.text, 'echo: Once')
    const { data } = await client.embeddings.create({ model, input: ['a', 'b'] })
    assert.equal(data.length, 2)
    assert.equal((await client.moderations.create({ model, input: 'a' })).results[0]!.flagged, false)
    assert.equal((await client.responses.create({ model, input: 'Once' })).output_text, 'echo: Once')
    const types: string[] = []
    for await (const { type } of await client.responses.create({ model, input: 'Once', stream: true })) types.push(type)
    assert.equal(types[0], 'response.created')
    assert.equal(types.at(-1), 'response.completed')
  })

  test('sends and gets sound, and makes images', async () => {
    const sound = await toFile(Buffer.alloc(5000, 1), 'a.wav')
    assert.equal((await client.audio.transcriptions.create({ model, file: sound })).text, 'heard 5000 bytes')
    const speech = await client.audio.speech.create({ model, input: 'Hello', voice: 'alloy' })
    assert.equal((await speech.arrayBuffer()).byteLength, 4096)
    assert.ok((await client.images.generate({ model, prompt: 'A picture' })).data![0]!.b64_json)
  })

  test('lists the models', async () => {
    const ids: string[] = []
    for await (const { id, object } of client.models.list()) ids.push(`${object} ${id}`)
    assert.deepEqual(ids.sort(), ['model other-model', 'model small-model'])
  })

  test('reports a model that nobody has as a 404 with its text', async () => {
    const error = await errorOf(client.chat.completions.create({ model: 'huge-model', messages }))
    assert.equal(error.status, 404)
    assert.match(error.message, /'huge-model' does not exist/)
    assert.ok(error.headers?.get('x-request-id'))
  })

  test('reports a bad request as such, whether the gateway or the service says so', async () => {
    const ours = await errorOf(
      client.chat.completions.create({ messages } as unknown as { model: string; messages: [] }),
    )
    assert.ok(ours instanceof BadRequestError)
    assert.match(ours.message, /model/)
    await service.answer(400, 'chat', {
      times: 1,
      body: '{"error":{"message":"too long","code":"context_length_exceeded"}}',
    })
    const { length } = service.seen('chat')
    const theirs = await errorOf(client.chat.completions.create({ model, messages }))
    assert.ok(theirs instanceof BadRequestError)
    assert.equal(theirs.code, 'context_length_exceeded')
    assert.equal(service.seen('chat').length, length + 1)
  })

  test("reports a service's rate limit as such", async () => {
    const body = '{"error":{"message":"Rate limit reached","code":"rate_limit_exceeded"}}'
    await service.answer(429, 'chat', { times: 1, body, headers: { 'retry-after': '3' } })
    // The pause is for this model alone, so that the other tests need not wait.
    const error = await errorOf(client.chat.completions.create({ model: 'other-model', messages }))
    assert.ok(error instanceof RateLimitError)
    assert.equal(error.code, 'rate_limit_exceeded')
    assert.equal(error.headers.get('retry-after'), '3')
  })

  test("with its retries rides out a service's short refusal", async () => {
    await service.answer(503, 'chat', { times: 1, headers: { 'retry-after-ms': '1' } })
    const patient = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'sk-any', maxRetries: 2 })
    const answer = await patient.chat.completions.create({ model, messages })
    assert.equal(answer.choices[0]!.message.content, 'echo: Say it again')
  })

  test('hears of a stream that breaks, instead of taking it for complete', async () => {
    const stream = await client.chat.completions.create({
      ...{ model, messages, ...sim({ pieces: 9, text: 'word ', dieAfter: 3 }) },
      stream: true,
    })
    let text = ''
    await assert.rejects(async () => {
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
    })
    assert.equal(text, 'word word word ')
  })

  test('cancels at the service by its abort, streaming and not', async () => {
    const stream = await client.chat.completions.create({
      ...{ model, messages, ...sim({ pieces: 100_000, pieceMs: 5, text: 'word ' }) },
      stream: true,
    })
    let left = service.next('clientLeft')
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break
    await left
    await inFlightIs(gateway, service, 0)

    const abort = new AbortController()
    const { n } = service.requests.at(-1)!
    const body = { model, messages, ...sim({ seconds: 600 }) }
    const asking = client.chat.completions.create(body, { signal: abort.signal })
    await service.waitFor('chat', { after: n })
    left = service.next('clientLeft')
    abort.abort()
    await assert.rejects(asking)
    await left
    await inFlightIs(gateway, service, 0)
  })
})

describe('the official client, of a gateway with keys and limits,', async () => {
  const guarded = await gatewayForServices(file, [entryOf(service)], {
    API_KEYS: 'key-of-one',
    PROXY_RATELIMIT_REQS_PER_MIN: '2',
  })

  test('reports a wrong key, and a spent budget, as such', async () => {
    const wrong = await errorOf(clientOf(guarded, 'wrong').chat.completions.create({ model, messages }))
    assert.ok(wrong instanceof AuthenticationError)
    assert.match(wrong.message, /API key/)
    const right = clientOf(guarded, 'key-of-one')
    for (let i = 0; i < 2; i++) await right.chat.completions.create({ model, messages })
    const spent = await errorOf(right.chat.completions.create({ model, messages }))
    assert.ok(spent instanceof RateLimitError)
    assert.ok(Number(spent.headers.get('retry-after')) >= 1)
  })

  test('reports a gateway that has gone as a failed connection', async () => {
    await guarded.kill()
    const gone = await errorOf(clientOf(guarded, 'key-of-one').models.list().asResponse())
    assert.ok(gone instanceof APIConnectionError)
  })
})
