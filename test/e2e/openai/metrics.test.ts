import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { entryOf, gatewayForServices } from '../../kit/builders/gateways.ts'
import { openStream, post, request } from '../../kit/http.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { eventually } from '../../kit/wait.ts'
import { askChat, chat, inFlightIs, startHandService } from './support.ts'

const file = { after }
const MODELS = ['unary', 'streamed', 'untold', 'responses', 'messages', 'embedded', 'failing', 'left']
const service = await startFakeOpenAi({ models: MODELS }, file)
const hand = await startHandService(file)
const gateway = await gatewayForServices(file, [entryOf(service), entryOf(hand)])

/** The values of one series of a model by their other labels; of a histogram its count and sum. */
async function metricsOf(model: string): Promise<Record<string, number>> {
  const { text } = await request(`${gateway.url}/metrics`)
  const found: Record<string, number> = {}
  for (const line of text.split('\n')) {
    const match = /^infernet_gateway_model_(\w+)\{(.*)\} (\S+)$/.exec(line)
    if (!match?.[2]!.includes(`model="${model}"`) || match[1]!.endsWith('_bucket')) continue
    const kind = /kind="(\w+)"/.exec(match[2]!)?.[1]
    found[kind ?? match[1]!] = Number(match[3])
  }
  return found
}

/** Sends a request, as a stream where the body says so, and waits until it is counted. */
async function counted(path: string, body: { model?: unknown; stream?: boolean }): Promise<Record<string, number>> {
  if (body.stream) await (await openStream(`${gateway.url}${path}`, { body })).ended
  else await post(`${gateway.url}${path}`, body)
  return eventually(async () => {
    const found = await metricsOf(String(body.model))
    return found['request_seconds_count'] ? found : undefined
  })
}

describe('per model, /metrics tells', () => {
  test('tokens, time to the first byte and duration of an answer in one piece', async () => {
    const found = await counted(
      '/v1/chat/completions',
      chat({ pieces: 5, text: 'x', seconds: 0.2 }, { model: 'unary' }),
    )
    assert.equal(found['prompt'], 7)
    assert.equal(found['completion'], 5)
    assert.equal(found['first_byte_seconds_count'], 1)
    assert.ok(found['first_byte_seconds_sum']! >= 0.19 && found['first_byte_seconds_sum']! < 5)
    assert.ok(found['request_seconds_sum']! >= found['first_byte_seconds_sum']!)
  })

  test('the same of a stream, though its tokens come last and its beginning is long past', async () => {
    const sim = { pieces: 300, text: 'a text of some length '.repeat(5), pieceMs: 1, seconds: 0.1 }
    const more = { model: 'streamed', stream: true, stream_options: { include_usage: true } }
    const found = await counted('/v1/chat/completions', chat(sim, more))
    assert.equal(found['prompt'], 7)
    assert.equal(found['completion'], 300)
    assert.ok(found['first_byte_seconds_sum']! >= 0.09)
    assert.ok(found['request_seconds_sum']! >= found['first_byte_seconds_sum']! + 0.2)
  })

  test('no tokens where the answer tells none, whatever its text says', async () => {
    const sim = { pieces: 1, text: '"usage":{"prompt_tokens":5,"completion_tokens":5}' }
    const found = await counted('/v1/chat/completions', chat(sim, { model: 'untold', stream: true }))
    assert.equal(found['request_seconds_count'], 1)
    assert.equal(found['prompt'], undefined)
    assert.equal(found['completion'], undefined)
  })

  for (const [path, model] of [
    ['/v1/responses', 'responses'],
    ['/v1/messages', 'messages'],
  ] as const) {
    test(`tokens in the dialect of ${path}, streamed and not`, async () => {
      const sim = { pieces: 4, text: 'x' }
      const body = { model, input: 'Hello', messages: [], sim }
      assert.deepEqual(await tokensOf(counted(path, body)), [7, 4])
      await counted(path, { ...body, stream: true })
      await eventually(async () => assert.deepEqual(await tokensOf(metricsOf(model)), [14, 8]) ?? true)
    })
  }

  test('the prompt of an embedding', async () => {
    const found = await counted('/v1/embeddings', { model: 'embedded', input: ['a', 'b', 'c'] } as { model: string })
    assert.equal(found['prompt'], 3)
  })

  test('nothing of requests that failed or were left', async () => {
    await service.answer(400, 'chat', { times: 1, body: '{"usage":{"prompt_tokens":5}}' })
    await post(`${gateway.url}/v1/chat/completions`, chat({}, { model: 'failing' }))
    const body = chat({ stallAfter: 0 }, { model: 'left', stream: true })
    const stream = await openStream(`${gateway.url}/v1/chat/completions`, { body })
    const left = service.next('clientLeft')
    stream.destroy()
    await left
    await counted('/v1/chat/completions', chat({}, { model: 'unary' }))
    assert.deepEqual(await metricsOf('failing'), {})
    assert.deepEqual(await metricsOf('left'), {})
  })
})

test('an answer that tells an impossible number of tokens gives its place back and counts none', async () => {
  const answering = askChat(gateway)
  const { response } = await hand.next()
  response.end(`{"usage":{"prompt_tokens":${'9'.repeat(400)},"completion_tokens":3}}`)
  assert.equal((await answering).status, 200)
  await inFlightIs(gateway, hand, 0)
  const found = await metricsOf('small-model')
  assert.equal(found['request_seconds_count'], 1)
  assert.equal(found['prompt'], 0)
  assert.equal(found['completion'], 3)
})

async function tokensOf(found: Promise<Record<string, number>>): Promise<(number | undefined)[]> {
  const { prompt, completion } = await found
  return [prompt, completion]
}
