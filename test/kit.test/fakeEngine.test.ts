import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import OpenAI from 'openai'
import { Batch, type Job } from '../kit/fakeEngine/batch.ts'
import { BlockChain } from '../kit/fakeEngine/blockChain.ts'
import { ENGINE_DEFAULTS, spawnEngines, startEngine } from '../kit/fakeEngine/index.ts'
import { PrefixCache } from '../kit/fakeEngine/prefixCache.ts'
import { openStream, request } from '../kit/http.ts'
import { eventually } from '../kit/wait.ts'

/** So much that it is never said in a test. */
const ENDLESS = 10_000_000

const chain = (text: string): BlockChain => {
  const made = new BlockChain()
  made.add(text)
  return made
}

describe('the prefix cache', () => {
  test('of texts that begin alike, the blocks are the same as far as they do, however the text came', () => {
    const [one, other] = [chain('a'.repeat(200) + 'b'.repeat(100)), chain('a'.repeat(200))]
    other.add('c'.repeat(100))
    assert.deepEqual(one.blocks.slice(0, 3), other.blocks.slice(0, 3))
    assert.notEqual(one.blocks[3], other.blocks[3])
    assert.deepEqual([one.tokens, one.blocks.length], [75, 4])
  })

  test('the block not used for longest goes first, and of one prompt the last one', () => {
    const cache = new PrefixCache(4)
    cache.keep([1, 2])
    cache.keep([3, 4])
    assert.equal(cache.use([1, 2]), 2)
    cache.keep([5])
    assert.equal(cache.use([3, 4]), 1)
    cache.keep([6, 7])
    assert.deepEqual([cache.use([1, 2]), cache.use([3]), cache.use([6, 7]), cache.size], [0, 1, 2, 4])
  })

  test('of a prompt that is longer than the cache, the beginning stays', () => {
    const cache = new PrefixCache(3)
    cache.keep([1, 2, 3, 4, 5])
    assert.equal(cache.use([1, 2, 3, 4, 5]), 3)
  })
})

describe('continuous batching', () => {
  // A prefill of 10 ms and 1 ms a token; a step of 10 ms, 20 ms for two.
  const engine = { ...ENGINE_DEFAULTS, slots: 2, prefillMs: 10, prefillMsPerToken: 1, stepMs: 10, stepSlots: 1 }

  function batchOf(speed = 1): {
    submit: (name: string, text: string, now: number) => Job
    batch: Batch
    seen: string[]
  } {
    const seen: string[] = []
    const batch = new Batch({ ...engine, speed }, new PrefixCache(1000))
    const submit = (name: string, text: string, now: number): Job => {
      const job: Job = {
        ...{ prompt: chain(text), outputTokens: 3, answer: name.repeat(12), cachedTokens: 0 },
        onFirstToken: () => seen.push(`${name} begins`),
        onEnd: () => seen.push(`${name} ends`),
      }
      batch.submit(job, now)
      return job
    }
    return { submit, batch, seen }
  }

  test('a prefill holds up all that run, and tokens take longer the more run', () => {
    const { submit, batch, seen } = batchOf()
    submit('a', 'x'.repeat(160), 0)
    assert.equal(batch.dueAt, 50)
    batch.advance(60)
    submit('b', 'y'.repeat(160), 60)
    assert.equal(batch.dueAt, 110)
    batch.advance(110)
    // Of its two further tokens, a had said one before.
    assert.equal(batch.dueAt, 130)
    batch.advance(1000)
    assert.deepEqual(seen, ['a begins', 'b begins', 'a ends', 'b ends'])
    // 50 + 10 of a alone, 50 of prefill, 20 of both, 10 of b alone.
    assert.equal(batch.stats.runningMs, 60 + 2 * 50 + 2 * 20 + 10)
    // A token takes 10 ms of a full batch; the first ones come of the prefills.
    assert.equal(batch.stats.workMs, 2 * 50 + 4 * 10)
  })

  test('only uncached tokens take time to prefill', () => {
    const { submit, batch } = batchOf()
    submit('a', 'x'.repeat(160), 0)
    batch.advance(1000)
    const again = submit('b', 'x'.repeat(160), 1000)
    assert.equal(again.cachedTokens, 32)
    assert.equal(batch.dueAt, 1018)
  })

  test('no more run than there are slots; the others wait in order', () => {
    const { submit, batch, seen } = batchOf(10)
    for (const name of ['a', 'b', 'c', 'd']) submit(name, name.repeat(160), 0)
    batch.advance(10)
    assert.deepEqual([batch.running, batch.waiting], [2, 2])
    batch.advance(1000)
    assert.deepEqual(
      seen.filter((what) => what.endsWith('begins')),
      ['a begins', 'b begins', 'c begins', 'd begins'],
    )
    assert.deepEqual([batch.running, batch.waiting, batch.stats.ended], [0, 0, 4])
  })

  test('one that is aborted gives its place to the next at once, in whatever state it is', () => {
    const { submit, batch, seen } = batchOf()
    const [a, b, c] = ['a', 'b', 'c'].map((name) => submit(name, name.repeat(160), 0)) as [Job, Job, Job]
    submit('d', 'd'.repeat(160), 0)
    batch.abort(c, 10)
    batch.abort(a, 20)
    assert.equal(batch.dueAt, 70)
    batch.advance(70)
    batch.abort(b, 75)
    batch.abort(b, 76)
    batch.advance(1000)
    assert.deepEqual(seen, ['b begins', 'd begins', 'd ends'])
    assert.equal(batch.stats.aborted, 3)
  })
})

test('a conversation is cached up to the last answer, as the usage of both kinds of answer says', async (t) => {
  const engine = await startEngine({ timeScale: 0.001 }, t)
  const client = new OpenAI({ baseURL: `${engine.url}/v1`, apiKey: 'none', maxRetries: 0 })
  const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: 'user', content: 'hello '.repeat(100) }]
  const whole = await client.chat.completions.create({ model: 'org/model', messages, max_tokens: 50 })
  assert.deepEqual([whole.usage?.completion_tokens, whole.usage?.prompt_tokens_details?.cached_tokens], [50, 0])
  const answer = whole.choices[0]?.message.content ?? ''
  assert.equal(answer.length, 200)
  messages.push({ role: 'assistant', content: answer }, { role: 'user', content: 'and then?' })
  const ask = { model: 'org/model', messages, max_tokens: 5 }
  let [text, cached] = ['', 0]
  const stream = await client.chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } })
  for await (const event of stream) {
    text += event.choices[0]?.delta.content ?? ''
    cached ||= event.usage?.prompt_tokens_details?.cached_tokens ?? 0
  }
  assert.equal(text.length, 20)
  const upToAnswer = (whole.usage?.prompt_tokens ?? 0) + 50
  assert.ok(cached > upToAnswer - 17 && cached <= upToAnswer + 4, `${cached} of ${upToAnswer}`)
  assert.deepEqual([engine.stats.ended, engine.stats.cachedTokens], [2, cached])
})

test('a client that leaves gives its place at once, and /metrics says what runs and waits', async (t) => {
  const engine = await startEngine({ slots: 1, timeScale: 0.001 }, t)
  const body = { messages: [{ role: 'user', content: 'hello' }], stream: true }
  const metrics = async (): Promise<string[]> =>
    (await request(`${engine.url}/metrics`)).text.split('\n').filter((line) => !line.startsWith('#'))
  const load = (running: number, waiting: number): string[] => [
    `vllm:num_requests_running{engine="0",model_name="org/model"} ${running}.0`,
    `vllm:num_requests_waiting{engine="0",model_name="org/model"} ${waiting}.0`,
    '',
  ]
  const url = `${engine.url}/v1/chat/completions`
  const endless = await openStream(url, { body: { ...body, max_tokens: ENDLESS } })
  const next = await openStream(url, { body: { ...body, max_tokens: 3 } })
  assert.deepEqual(await metrics(), load(1, 1))
  endless.destroy()
  const { complete } = await next.ended
  assert.equal(complete, true)
  await eventually(async () => (await metrics()).join() === load(0, 0).join())
  assert.deepEqual([engine.stats.aborted, engine.stats.ended], [1, 1])
})

test('engines of a process are killed and come back on the same ports, with nothing cached', async (t) => {
  const engines = await spawnEngines([{ timeScale: 0.001 }, { timeScale: 0.001, model: 'other' }], t)
  const [one = '', other = ''] = engines.urls
  const ask = (): Promise<{ usage: { prompt_tokens_details: { cached_tokens: number } } }> =>
    request(`${one}/v1/chat/completions`, {
      method: 'POST',
      body: { messages: [{ role: 'user', content: 'hello '.repeat(100) }] },
    }).then((answer) => answer.json())
  assert.equal((await request(`${other}/v1/models`)).json<{ data: { id: string }[] }>().data[0]?.id, 'other')
  for (const cached of [0, 144]) assert.equal((await ask()).usage.prompt_tokens_details.cached_tokens, cached)
  assert.deepEqual(
    (await engines.stats()).map(({ ended }) => ended),
    [2, 0],
  )
  await engines.restart()
  assert.equal((await ask()).usage.prompt_tokens_details.cached_tokens, 0)
  await engines.reset()
  assert.equal((await ask()).usage.prompt_tokens_details.cached_tokens, 0)
  assert.equal((await engines.stats())[0]?.ended, 1)
})
