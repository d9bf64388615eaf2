import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import OpenAI, { toFile } from 'openai'
import { openStream, post, request } from '../kit/http.ts'
import type { OpenStream } from '../kit/http.ts'
import { startFakeOpenAi } from '../kit/fakeOpenAi/index.ts'
import type { FakeOpenAi } from '../kit/fakeOpenAi/index.ts'

const CHAT = { model: 'small-model', messages: [{ role: 'user' as const, content: 'hello big world' }] }

function chatStream(service: FakeOpenAi, sim: object = {}): Promise<OpenStream> {
  return openStream(`${service.url}/v1/chat/completions`, { body: { ...CHAT, stream: true, sim } })
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}

describe('the official client', async () => {
  const service = await startFakeOpenAi({ models: ['small-model', 'other'], apiKey: 'sk-1' })
  after(() => service.stop())
  const client = new OpenAI({ baseURL: `${service.url}/v1`, apiKey: 'sk-1', maxRetries: 0 })

  test('lists models', async () => {
    const { data } = await client.models.list()
    assert.deepEqual(
      data.map(({ id }) => id),
      ['small-model', 'other'],
    )
  })

  test('chats, and the answer belongs to the question', async () => {
    const answer = await client.chat.completions.create(CHAT)
    assert.equal(answer.choices[0]?.message.content, 'echo: hello big world')
    assert.equal(answer.usage?.completion_tokens, 4)
  })

  test('streams a chat: role first, then content, usage if asked', async () => {
    const stream = await client.chat.completions.create({
      ...CHAT,
      stream: true,
      stream_options: { include_usage: true },
    })
    const chunks = await all(stream)
    assert.equal(chunks[0]?.choices[0]?.delta.role, 'assistant')
    assert.equal(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join(''), 'echo: hello big world')
    assert.deepEqual(chunks.at(-1)?.choices, [])
    assert.equal(chunks.at(-1)?.usage?.total_tokens, 11)
    const plain = await all(await client.chat.completions.create({ ...CHAT, stream: true }))
    assert.ok(plain.every(({ usage }) => !usage))
  })

  test('completes, unary and streamed', async () => {
    const ask = { model: 'other', prompt: 'a b' }
    assert.equal((await client.completions.create(ask)).choices[0]?.text, 'echo: a b')
    const chunks = await all(await client.completions.create({ ...ask, stream: true }))
    assert.equal(chunks.map(({ choices }) => choices[0]?.text).join(''), 'echo: a b')
  })

  test('has responses, unary and streamed', async () => {
    const ask = { model: 'other', input: 'a b' }
    assert.equal((await client.responses.create(ask)).output_text, 'echo: a b')
    const events = await all(await client.responses.create({ ...ask, stream: true }))
    assert.equal(events[0]?.type, 'response.created')
    assert.equal(events.at(-1)?.type, 'response.completed')
  })

  test('embeds: the same text, the same vector', async () => {
    const { data } = await client.embeddings.create({ model: 'other', input: ['a', 'b', 'a'] })
    assert.equal(data[0]?.embedding.length, 8)
    assert.deepEqual(data[0].embedding, data[2]?.embedding)
    assert.notDeepEqual(data[0].embedding, data[1]?.embedding)
  })

  test('moderates, draws, speaks and listens', async () => {
    assert.equal((await client.moderations.create({ model: 'other', input: 'x' })).results[0]?.flagged, false)
    assert.ok((await client.images.generate({ model: 'other', prompt: 'x' })).data?.[0]?.b64_json)
    const speech = await client.audio.speech.create({ model: 'other', input: 'x', voice: 'alloy' })
    const bytes = Buffer.from(await speech.arrayBuffer())
    assert.deepEqual([bytes.length, bytes[255]], [4096, (255 * 7) & 255])
    const file = await toFile(bytes, 'speech.mp3')
    assert.equal((await client.audio.transcriptions.create({ model: 'other', file })).text, 'heard 4096 bytes')
  })

  test('is refused with a wrong key and for an unknown model', async () => {
    const stranger = new OpenAI({ baseURL: `${service.url}/v1`, apiKey: 'sk-2', maxRetries: 0 })
    await assert.rejects(stranger.models.list(), { status: 401, code: 'invalid_api_key' })
    await assert.rejects(client.chat.completions.create({ ...CHAT, model: 'nobody' }), { code: 'model_not_found' })
    assert.equal(service.requests.at(-1)?.header('Authorization'), 'Bearer sk-1')
  })
})

test('messages come as events with names', async (t) => {
  const service = await startFakeOpenAi({}, t)
  const body = { ...CHAT, stream: true }
  const { text, headers } = await post(`${service.url}/v1/messages`, body)
  assert.equal(headers['content-type'], 'text/event-stream; charset=utf-8')
  const names = [...text.matchAll(/^event: (.*)$/gm)].map(([, name]) => name)
  assert.deepEqual(names.slice(0, 4), ['message_start', 'content_block_start', 'ping', 'content_block_delta'])
  assert.equal(names.at(-1), 'message_stop')
})

test('documents are ranked', async (t) => {
  const service = await startFakeOpenAi({}, t)
  const { results } = (
    await post(`${service.url}/v1/rerank`, { model: 'small-model', query: 'q', documents: ['a', 'b'] })
  ).json<{ results: object[] }>()
  assert.deepEqual(results, [
    { index: 0, relevance_score: 1 },
    { index: 1, relevance_score: 0.5 },
  ])
})

test('a service may have its paths at the root, and may have no list of models', async (t) => {
  const service = await startFakeOpenAi({ prefix: '' }, t)
  const ask = async (path: string): Promise<number> => (await request(service.url + path)).status
  assert.deepEqual([await ask('/v1/models'), await ask('/models')], [404, 200])
  assert.equal((await post(`${service.url}/chat/completions`, CHAT)).status, 200)
  assert.equal((await post(`${service.url}/v1/chat/completions`, CHAT)).status, 404)
  await service.set({ prefix: 'both' })
  assert.deepEqual([await ask('/v1/models'), await ask('/models')], [200, 200])
  await service.set({ listsModels: false })
  assert.deepEqual([await ask('/v1/models'), await ask('/models')], [404, 404])
  assert.equal((await post(`${service.url}/chat/completions`, CHAT)).status, 200)
})

test('events come one by one, with the pauses told', async (t) => {
  const service = await startFakeOpenAi({ pieceMs: 40 }, t)
  const open = await chatStream(service)
  assert.match((await open.next())!.bytes.toString(), /"role":"assistant"/)
  assert.equal((await open.ended).complete, true)
  assert.ok(open.pieces.length >= 5, `${open.pieces.length} pieces`)
  assert.match(open.text, /data: \[DONE\]\n\n$/)
})

test('only so many requests are served at once; one whose client leaves gives its place back at once', async (t) => {
  const service = await startFakeOpenAi({ concurrency: 1 }, t)
  const first = await chatStream(service, { pieces: 1000, pieceMs: 20 })
  await first.next()
  const second = chatStream(service)
  await service.waitFor(() => true, { after: 1 })
  const { running, waiting, activeStreams } = await service.counts()
  assert.deepEqual([running, waiting, activeStreams], [1, 1, 1])
  const left = service.next('clientLeft')
  first.destroy()
  assert.equal((await left).endpoint, 'chat')
  assert.equal((await (await second).ended).complete, true)
  assert.deepEqual((await service.counts()).activeStreams, 0)
})

test('a client that leaves while its request waits is noticed too', async (t) => {
  const service = await startFakeOpenAi({ seconds: 30 }, t)
  const left = service.next('clientLeft')
  await assert.rejects(post(`${service.url}/v1/chat/completions`, CHAT, { timeoutMs: 1000 }))
  await left
  assert.equal((await service.counts()).running, 0)
})

describe('a stream goes wrong:', () => {
  test('its connection dies', async (t) => {
    const service = await startFakeOpenAi({}, t)
    await service.dieAmidStream(2, { times: 1 })
    const open = await chatStream(service)
    assert.equal((await open.ended).complete, false)
    assert.match(open.text, /"content":"hello "}[^\n]*\n\n$/)
    assert.equal((await (await chatStream(service)).ended).complete, true)
  })
  test('it stalls', async (t) => {
    const service = await startFakeOpenAi({}, t)
    await service.script({ stallAfter: 1 }, 'chat')
    const open = await chatStream(service)
    await open.until((text) => text.includes('echo: '))
    assert.equal((await service.counts()).activeStreams, 1)
    const left = service.next('clientLeft')
    open.destroy()
    await left
  })
  test('it fails with an error event', async (t) => {
    const service = await startFakeOpenAi({}, t)
    const open = await chatStream(service, { failAfter: 1 })
    assert.equal((await open.ended).complete, true)
    assert.match(open.text, /data: {"error":{"message":"the engine failed".*}\n\n$/)
  })
  test('nothing comes before the first byte', async (t) => {
    const service = await startFakeOpenAi({}, t)
    await service.hangBeforeFirstByte('chat')
    await assert.rejects(post(`${service.url}/v1/chat/completions`, CHAT, { timeoutMs: 100 }), /no answer/)
    assert.equal((await request(`${service.url}/v1/models`)).status, 200)
  })
})

test('the commands of every fake server work here', async (t) => {
  const service = await startFakeOpenAi({}, t)
  await service.answer(503, 'chat', { times: 1 })
  assert.equal((await post(`${service.url}/v1/chat/completions`, CHAT)).status, 503)
  await service.break('models', { when: 'body', times: 1 })
  await assert.rejects(request(`${service.url}/v1/models`))
  await service.answer(200, 'models', { body: '<html>', times: 1 })
  assert.equal((await request(`${service.url}/v1/models`)).text, '<html>')
  await service.refuse()
  await assert.rejects(request(`${service.url}/v1/models`), { code: 'ECONNREFUSED' })
  await service.comeBack()
  assert.equal((await request(`${service.url}/v1/models`)).status, 200)
})
