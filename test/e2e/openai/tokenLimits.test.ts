/** `tokens_per_min` of the keys file: what is reserved for requests, what they are charged in the end, and what is refused. */
import OpenAI from 'openai'
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { entryOf, startGateway } from '../../kit/builders/gateways.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { openStream, post, request, type Answer } from '../../kit/http.ts'
import { assertError } from '../support.ts'
import { chat, startHandService } from './support.ts'

const file = { after }
/** Refilled by one in 0.6 seconds: hardly while a test runs. */
const RATE = 100
const TOKEN_SECONDS = 60 / RATE
/** What the refill and an estimate of a probe may add to what a test expects, tokens. */
const SLACK = 30
/** Tokens of a prompt, as the service counts them. */
const PROMPT = 7
const SETTING = 'tokens_per_min of the key'

const [service, byHand] = await Promise.all([
  startFakeOpenAi({ models: ['small-model', 'failing'], concurrency: 100 }, file),
  startHandService(file),
])
/** Each test has a name of its own, so that none meets what another has used. */
const names = Array.from({ length: 20 }, (_, i) => `k${i}`)
const KEYS = [
  ...names.map((name) => ({ name, key: name, tokens_per_min: RATE })),
  { name: 'quick', key: 'quick', tokens_per_min: 600 },
  { name: 'unlimited', key: 'unlimited' },
  { name: 'zero', key: 'zero', tokens_per_min: 0 },
]
const gateway = await startGateway(file, {
  services: [entryOf(service), entryOf(byHand, { models: ['by-hand'] })],
  env: { KEYS_FILE: 'keys.json' },
  cwdFiles: { 'keys.json': KEYS },
})

const as = (key: string) => ({ headers: { Authorization: `Bearer ${key}` } })

function ask(key: string, sim: object = {}, more: object = {}): Promise<Answer> {
  return post(`${gateway.url}/v1/chat/completions`, chat(sim, more), as(key))
}

/** What asks for almost nothing, and so shows what others have left. */
function probe(key: string): Promise<Answer> {
  return post(`${gateway.url}/v1/embeddings`, { model: 'small-model', input: 'a' }, as(key))
}

function numberIn({ headers }: Pick<Answer, 'headers'>, name: string): number {
  assert.match(String(headers[name]), /^\d+$/, name)
  return Number(headers[name])
}

const remainingOf = (answer: Pick<Answer, 'headers'>): number => numberIn(answer, 'x-ratelimit-remaining-tokens')

/** About how many tokens a caller has used, more than its limit where it is in debt. */
async function usedBy(key: string): Promise<number> {
  const answer = await probe(key)
  if (answer.status === 200) return RATE - remainingOf(answer)
  assertError(answer, 429)
  return RATE + numberIn(answer, 'retry-after') / TOKEN_SECONDS
}

async function assertUsed(key: string, tokens: number): Promise<void> {
  const used = await usedBy(key)
  assert.ok(Math.abs(used - tokens) <= SLACK, `${used} instead of ${tokens}`)
}

const tokenHeaders = ({ headers }: Pick<Answer, 'headers'>): string[] =>
  Object.keys(headers).filter((name) => name.startsWith('x-ratelimit-'))

describe('a caller with tokens_per_min', () => {
  test('is shown its limit, what is left of it, and when all of it is there again', async () => {
    const answer = await probe('k0')
    assert.equal(answer.status, 200)
    assert.equal(numberIn(answer, 'x-ratelimit-limit-tokens'), RATE)
    const left = remainingOf(answer)
    assert.ok(left >= RATE - 15 && left < RATE, String(left))
    const reset = /^([\d.]+)s$/.exec(String(answer.headers['x-ratelimit-reset-tokens']))?.[1]
    assert.ok(Math.abs(Number(reset) - (RATE - left) * TOKEN_SECONDS) <= TOKEN_SECONDS, reset)
  })

  test('over it gets a 429 that names the limit and when the next request passes', async () => {
    await ask('k1', { text: 'word ', pieces: 500 })
    const before = service.seen('chat').length
    const openai = await ask('k1')
    const text = `Too many tokens: ${SETTING} allows ${RATE} a minute`
    assert.equal(assertError(openai, 429), text)
    assert.equal(openai.json<{ error: { code: string } }>().error.code, 'rate_limit_exceeded')
    assert.equal(remainingOf(openai), 0)
    assert.match(String(openai.headers['x-ratelimit-reset-tokens']), /^[45]m[\d.]+s$/)
    const plain = await post(`${gateway.url}/chat/completions`, chat(), as('k1'))
    assertError(plain, 429)
    assert.deepEqual(plain.json(), { error: text, params: { setting: SETTING, limit: RATE, window_seconds: 60 } })
    assert.equal(service.seen('chat').length, before)
  })

  test('is refused no more by requests that were refused', async () => {
    await ask('k2', { text: 'word ', pieces: 200 })
    for (let i = 0; i < 20; i++) assertError(await ask('k2'), 429)
    await assertUsed('k2', PROMPT + 200)
  })

  test('may ask for more than a whole minute’s tokens, and then waits until they are paid off', async () => {
    const prompt = [{ role: 'user', content: 'word '.repeat(1000) }]
    assert.equal((await ask('k3', { text: 'word ', pieces: 150 }, { messages: prompt })).status, 200)
    await assertUsed('k3', PROMPT + 150)
  })

  test('has several requests under way as far as what is reserved for them goes', async () => {
    const before = service.seen('chat').length
    const answers = await Promise.all(Array.from({ length: 8 }, () => ask('k4', { seconds: 0.5 }, { max_tokens: 10 })))
    // About 25 for a prompt, and the 10 of the reply.
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 200, ...Array<number>(6).fill(429)])
    assert.equal(service.seen('chat').length, before + 2)
  })
})

describe('what a request is charged', () => {
  test('is what the usage of its answer names, in one piece or as events', async () => {
    await ask('k5', { text: 'word ', pieces: 300 })
    await assertUsed('k5', PROMPT + 300)
    await ask('k6', { text: 'word ', pieces: 300 }, { stream: true, stream_options: { include_usage: true } })
    await assertUsed('k6', PROMPT + 300)
  })

  test('is one token for each event of a stream that names no usage', async () => {
    await ask('k7', { text: 'word ', pieces: 300 }, { stream: true })
    await assertUsed('k7', 25 + 300)
  })

  test('is what was seen of a stream whose client leaves, or which breaks off', async () => {
    const body = chat({ text: 'word ', pieces: 1000, stallAfter: 300 }, { stream: true })
    const stream = await openStream(`${gateway.url}/v1/chat/completions`, { body, ...as('k8') })
    await stream.until((text) => text.split('word').length > 300)
    const left = service.next('clientLeft')
    stream.destroy()
    await left
    await assertUsed('k8', 25 + 300)

    await ask('k9', { text: 'word ', pieces: 1000, dieAfter: 300 }, { stream: true }).catch(() => undefined)
    await assertUsed('k9', 25 + 300)
  })

  test('is the prompt where the client leaves before anything of an answer was seen', async () => {
    const leaving = new AbortController()
    const messages = [{ role: 'user', content: 'word '.repeat(200) }]
    const arrived = service.next('request')
    const asking = post(`${gateway.url}/v1/chat/completions`, chat({ seconds: 60 }, { messages }), {
      ...as('k10'),
      signal: leaving.signal,
    })
    await arrived
    const left = service.next('clientLeft')
    leaving.abort()
    await Promise.all([assert.rejects(asking), left])
    await assertUsed('k10', 275)
  })

  test('is nothing where the request failed, was refused by the service, or could not be sent', async () => {
    const failing = [
      ['500', { act: 'answer', status: 500, body: '{}' }],
      ['400', { act: 'answer', status: 400, body: '{}' }],
      ['reset', { act: 'break' }],
    ] as const
    for (const [what, act] of failing) {
      await service.misbehave(act, 'completions')
      const answer = await post(`${gateway.url}/v1/completions`, { model: 'failing', prompt: 'a' }, as('k11'))
      assert.ok(answer.status >= 400 && answer.status !== 429, what)
      await service.behave('completions')
      assert.ok((await usedBy('k11')) <= SLACK, what)
    }
    assertError(await post(`${gateway.url}/v1/completions`, { model: 'unknown', prompt: 'a' }, as('k11')), 404)
    assertError(await post(`${gateway.url}/v1/completions`, { prompt: 'a' }, as('k11')), 400)
    assert.ok((await usedBy('k11')) <= SLACK)
  })

  test('is the reservation for work in the background, whose usage its answer does not name', async () => {
    const asking = post(`${gateway.url}/v1/responses`, { model: 'by-hand', input: 'a', background: true }, as('k12'))
    const { response } = await byHand.next()
    response.setHeader('Content-Type', 'application/json')
    response.end('{"id":"resp_1","object":"response","status":"queued","usage":null}')
    assert.equal((await asking).status, 200)
    await assertUsed('k12', RATE)
  })

  test('is nothing for counting tokens, which passes in debt too', async () => {
    await ask('k13', { text: 'word ', pieces: 500 })
    assertError(await ask('k13'), 429)
    for (const [path, body] of [
      ['/v1/tokenize', { prompt: 'a' }],
      ['/v1/messages/count_tokens', { messages: [] }],
    ] as const) {
      const answer = await post(gateway.url + path, { model: 'small-model', ...body }, as('k13'))
      assert.equal(answer.status, 200, path)
      assert.deepEqual(tokenHeaders(answer), [])
    }
  })
})

test('an estimate is made from what the last answers to a caller took', async () => {
  // At first a prompt is some 25 tokens and a reply a modest one; in fact both are small.
  await ask('k14', { text: 'word ', pieces: 3 })
  const answer = await ask('k14', { text: 'word ', pieces: 3 })
  assert.equal(answer.status, 200)
  const left = remainingOf(answer)
  assert.ok(left >= RATE - 2 * (PROMPT + 3) - 1, String(left))
})

test('callers without the limit, and with one of 0, are shown nothing and refused nothing', async () => {
  for (const key of ['unlimited', 'zero']) {
    for (let i = 0; i < 3; i++) {
      const answer = await ask(key, { text: 'word ', pieces: 1000 })
      assert.equal(answer.status, 200)
      assert.deepEqual(tokenHeaders(answer), [])
    }
  }
})

test('where the limit holds, its headers stand in place of the service’s own', async () => {
  const askByHand = async (key: string): Promise<Answer> => {
    const asking = post(`${gateway.url}/v1/chat/completions`, chat({}, { model: 'by-hand' }), as(key))
    const { response } = await byHand.next()
    response.setHeader('X-RateLimit-Remaining-Tokens', '123456')
    response.end('{"usage":{"prompt_tokens":1,"completion_tokens":1}}')
    return asking
  }
  assert.equal((await askByHand('unlimited')).headers['x-ratelimit-remaining-tokens'], '123456')
  assert.equal((await askByHand('k15')).headers['x-ratelimit-remaining-tokens'], '0')
})

test('a realtime session is not opened in debt', async () => {
  const upgrade = {
    ...{ Connection: 'Upgrade', Upgrade: 'websocket', Authorization: 'Bearer k16' },
    ...{ 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' },
  }
  const open = () => request(`${gateway.url}/v1/realtime?model=small-model`, { headers: upgrade })
  // The service does not know the path.
  assertError(await open(), 404)
  assert.ok((await usedBy('k16')) <= SLACK)
  await ask('k16', { text: 'word ', pieces: 500 })
  assert.match(assertError(await open(), 429), /tokens_per_min of the key/)
})

test('the openai SDK tries again when the refusal said, and then passes', async () => {
  const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'quick', maxRetries: 1 })
  const refusals = () => gateway.logs.filter(({ status }) => status === 429).length
  // Leaves a debt that is paid off within two seconds.
  await ask('quick', { text: 'word ', pieces: 605 })
  const before = refusals()
  const startedAt = performance.now()
  const answer = await client.chat.completions.create({
    model: 'small-model',
    max_tokens: 1,
    messages: [{ role: 'user', content: 'Say it again' }],
  })
  assert.ok(answer.usage)
  assert.ok(performance.now() - startedAt >= 1000)
  await gateway.waitForLog(() => refusals() > before)
})

test('a keys file that is read again changes the limit, and leaves the debt', async () => {
  await ask('k17', { text: 'word ', pieces: 500 })
  assertError(await ask('k17'), 429)
  const reread = async (tokensPerMinute: number): Promise<void> => {
    const before = gateway.logs.filter(({ message }) => message === 'keys file read').length
    const changed = KEYS.map((key) => (key.name === 'k17' ? { ...key, tokens_per_min: tokensPerMinute } : key))
    await writeFile(join(gateway.cwd, 'keys.json'), JSON.stringify(changed))
    await gateway.waitForLog(() => gateway.logs.filter(({ message }) => message === 'keys file read').length > before)
  }
  await reread(2 * RATE)
  const refused = await ask('k17')
  assertError(refused, 429)
  assert.equal(numberIn(refused, 'x-ratelimit-limit-tokens'), 2 * RATE)
  await reread(0)
  assert.equal((await ask('k17')).status, 200)
})
