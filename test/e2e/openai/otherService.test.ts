import OpenAI from 'openai'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { after, describe, test } from 'node:test'
import { entryOf, gatewayForServices } from '../../kit/builders/gateways.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { openRaw, post } from '../../kit/http.ts'
import type { Answer } from '../../kit/http.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import type { FakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { freePort } from '../../kit/wait.ts'
import { assertError } from '../support.ts'
import { askChat, chat, inFlightIs, isCall, lastCall, openChat, startHandService } from './support.ts'

const file = { after }
const OWN_KEY = 'sk-of-the-service'
/** Polls that come in between prove nothing here. */
const SELDOM = { REFRESH_INTERVAL: '60' }

/** Answers of one service for which another is asked, wherever the request goes. */
const ALWAYS = [429, 503, 401, 402, 403, 404]
/** Answers for which another is asked on paths that only generate. */
const GENERATING = [408, 500, 502, 504, 529]

interface Load {
  clients: number
  each: number
  model?: string
}

async function statusesOf(gateway: Gateway, { clients, each, model = 'small-model' }: Load): Promise<number[]> {
  const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'sk-any', maxRetries: 0 })
  const ask = async (): Promise<number> => {
    const asking = client.chat.completions.create({ model, messages: [{ role: 'user', content: 'Say it again' }] })
    return (await asking.asResponse()).status
  }
  const one = async (): Promise<number[]> => {
    const statuses: number[] = []
    for (let i = 0; i < each; i++) statuses.push(await ask().catch((error: { status?: number }) => error.status ?? 0))
    return statuses
  }
  return (await Promise.all(Array.from({ length: clients }, one))).flat()
}

/** Serves each of these models in the way that its name says: a status, or what it does with the connection. */
async function startFailing(models: readonly string[]): Promise<Failing> {
  const asked: string[] = []
  const server = createServer((incoming, response) => {
    const pieces: Buffer[] = []
    incoming.on('data', (piece: Buffer) => pieces.push(piece))
    incoming.on('end', () => {
      if (incoming.method === 'GET') {
        return void response.end(JSON.stringify({ data: models.map((id) => ({ id })) }))
      }
      const { model } = JSON.parse(Buffer.concat(pieces).toString()) as { model: string }
      asked.push(model)
      if (model === 'reset') incoming.socket.resetAndDestroy()
      else if (model === 'garbage') incoming.socket.end('this is no HTTP\r\n\r\n')
      else response.writeHead(Number(model)).end('{"error":{"message":"told to fail"}}')
    })
  })
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  file.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return { address: `127.0.0.1:${port}`, url: `http://127.0.0.1:${port}`, asked }
}

interface Failing {
  address: string
  url: string
  /** Models that it was asked for, one for each request. */
  asked: readonly string[]
}

describe('of two services one that fails at once is followed by the other', async () => {
  const answers = [...ALWAYS, ...GENERATING].map(String)
  // One that breaks connections is set aside altogether after three, so each such way has a service of its own.
  const failing = await Promise.all([answers, ['reset'], ['garbage']].map(startFailing))
  const ways = [...answers, 'reset', 'garbage']
  const good = await startFakeOpenAi({ models: ways, seconds: 0.005, concurrency: 100 }, file)
  // By their weight they are always the first to be asked.
  const preferred = failing.map((each) => entryOf(each, { api_key: OWN_KEY, weight: 1000 }))
  const gateway = await gatewayForServices(file, [...preferred, entryOf(good)], SELDOM)

  for (const model of ways) {
    test(`none of a hundred requests of four clients fails: ${model}`, async () => {
      const statuses = await statusesOf(gateway, { clients: 4, each: 25, model })
      assert.deepEqual(new Set(statuses), new Set([200]))
      assert.ok(failing.some(({ asked }) => asked.includes(model)))
    })
  }
})

describe('every path that only generates', async () => {
  const [bad, good] = await Promise.all([startAnswering(500), startAnswering(200)])
  const gateway = await gatewayForServices(file, [entryOf(bad), entryOf(good)], SELDOM)

  for (const path of [
    ...['chat/completions', 'completions', 'embeddings', 'responses', 'messages', 'messages/count_tokens'],
    ...['rerank', 'score', 'tokenize'],
  ]) {
    test(`is tried elsewhere: /v1/${path}`, async () => {
      const answer = await post(`${gateway.url}/v1/${path}`, { model: 'small-model', stream: true })
      assert.deepEqual([answer.status, answer.headers['x-infernet-node']], [200, good.address])
    })
  }

  test('streams from the other service, byte for byte', async () => {
    const stream = await post(`${gateway.url}/v1/chat/completions`, { model: 'small-model', stream: true })
    assert.equal(stream.text, 'data: {"a":1}\n\ndata: [DONE]\n\n')
    assert.equal(stream.headers['content-type'], 'text/event-stream')
  })

  async function startAnswering(status: number): Promise<{ address: string; url: string }> {
    const server = createServer((incoming, response) => {
      incoming.resume()
      if (incoming.method === 'GET') return void response.end('{"data":[{"id":"small-model"}]}')
      response.writeHead(status, { 'content-type': 'text/event-stream' })
      response.end('data: {"a":1}\n\ndata: [DONE]\n\n')
    })
    const port = await freePort()
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    file.after(() => {
      server.close()
      server.closeAllConnections()
    })
    return { address: `127.0.0.1:${port}`, url: `http://127.0.0.1:${port}` }
  }
})

describe('what is tried only once', async () => {
  const [first, second] = await Promise.all([
    startFakeOpenAi({ apiKey: OWN_KEY }, file),
    startFakeOpenAi({ apiKey: OWN_KEY }, file),
  ])
  const both = [first, second]
  const keyed = both.map((each) => entryOf(each, { api_key: OWN_KEY }))
  const gateway = await gatewayForServices(file, keyed, { ...SELDOM, PROXY_TIMEOUT: '0.3' })

  async function triesOf(ask: () => Promise<Answer>): Promise<{ answer: Answer; tries: number }> {
    const count = (): number => both.reduce((sum, { requests }) => sum + requests.filter(isCall).length, 0)
    const before = count()
    const answer = await ask()
    return { answer, tries: count() - before }
  }

  test('words about the request itself: 400, 409, 413, 422', async () => {
    for (const status of [400, 409, 413, 422]) {
      for (const each of both) await each.answer(status, 'chat', { body: `{"error":"${each.address}"}` })
      const { answer, tries } = await triesOf(() => askChat(gateway))
      assert.deepEqual([answer.status, tries], [status, 1])
    }
  })

  test('what may have an effect, after an answer that does not say that nothing was done', async () => {
    const asks = [
      ['images', '/v1/images/generations', { model: 'small-model', prompt: 'A picture' }],
      ['moderations', '/v1/moderations', { model: 'small-model', input: 'a' }],
      ['responses', '/v1/responses', { model: 'small-model', input: 'a', background: true }],
    ] as const
    for (const [endpoint, path, body] of asks) {
      for (const status of [408, 500, 502]) {
        for (const each of both) await each.answer(status, endpoint)
        const { answer, tries } = await triesOf(() => post(`${gateway.url}${path}`, body))
        assert.deepEqual([answer.status, tries], [status, 1], path)
      }
      for (const each of both) {
        await each.behave()
        await each.break(endpoint)
      }
      const { answer, tries } = await triesOf(() => post(`${gateway.url}${path}`, body))
      assertError(answer, 502)
      assert.equal(tries, 1)
      for (const each of both) await each.behave()
    }
  })

  test('what one service leaves unanswered for PROXY_TIMEOUT', async () => {
    for (const each of both) await each.hang('chat')
    const { answer, tries } = await triesOf(() => askChat(gateway))
    assertError(answer, 504)
    assert.equal(tries, 1)
    for (const each of both) await each.behave()
  })
})

describe('without a key of its own, a service', async () => {
  const both = await Promise.all([startFakeOpenAi({}, file), startFakeOpenAi({}, file)])
  const gateway = await gatewayForServices(
    file,
    both.map((each) => entryOf(each)),
    SELDOM,
  )

  test("may refuse the client's key: that is passed on at once", async () => {
    for (const status of [401, 402, 403]) {
      for (const each of both) await each.answer(status, 'chat')
      const before = both.reduce((sum, each) => sum + each.seen('chat').length, 0)
      assert.equal((await askChat(gateway)).status, status)
      assert.equal(
        both.reduce((sum, each) => sum + each.seen('chat').length, 0),
        before + 1,
      )
    }
  })
})

describe('where all fail', () => {
  async function trio(): Promise<FakeOpenAi[]> {
    return Promise.all([startFakeOpenAi({}, file), startFakeOpenAi({}, file), startFakeOpenAi({}, file)])
  }

  test('each has been asked once, and the first answer is passed on as it came', async (t) => {
    const all = await trio()
    const gateway = await gatewayForServices(
      t,
      all.map((each) => entryOf(each)),
      SELDOM,
    )
    for (const each of all) {
      const headers = { 'x-from': each.address }
      await each.answer(500, 'chat', { body: `{"error":{"message":"${each.address}"}}`, headers })
    }
    const answer = await askChat(gateway)
    assert.equal(answer.status, 500)
    const seen = all.flatMap((each) => each.seen('chat').map(({ at }) => ({ at, address: each.address })))
    assert.equal(seen.length, 3)
    const [first] = seen.sort((a, b) => a.at - b.at)
    assert.equal(answer.headers['x-infernet-node'], first!.address)
    assert.equal(answer.headers['x-from'], first!.address)
    assert.equal(answer.text, `{"error":{"message":"${first!.address}"}}`)
  })

  test('the load does not double: of many requests at most one in five is asked a second time', async (t) => {
    const both = (await trio()).slice(1)
    const gateway = await gatewayForServices(
      t,
      both.map((each) => entryOf(each)),
      SELDOM,
    )
    for (const each of both) await each.answer(500, 'chat')
    const requests = 100
    const statuses = await statusesOf(gateway, { clients: 4, each: requests / 4 })
    assert.deepEqual(new Set(statuses), new Set([500]))
    const tries = both.reduce((sum, each) => sum + each.seen('chat').length, 0)
    assert.ok(tries >= requests + 10, String(tries))
    // Ten more for each window of ten seconds, should the machine be slow.
    assert.ok(tries <= requests * 1.2 + 10, String(tries))
  })
})

describe('a pause that a service asks for with 429', async () => {
  const [paused, other] = await Promise.all([
    startFakeOpenAi({ models: ['x', 'y'] }, file),
    startFakeOpenAi({ models: ['x'] }, file),
  ])
  // A pause that ends sooner is waited for.
  const env = { ...SELDOM, QUEUE_TIMEOUT: '5' }
  const gateway = await gatewayForServices(file, [entryOf(paused), entryOf(other)], env)
  const ask = (model: string, options = {}): Promise<Answer> => askChat(gateway, chat({}, { model }), options)

  test('holds for that model and that caller, and nothing else', async () => {
    for (const each of [paused, other]) await each.answer(429, 'chat', { times: 1, headers: { 'retry-after': '60' } })
    assert.equal((await ask('x')).status, 429)
    assert.equal((await ask('y')).status, 200)
    assert.equal(lastCall(paused).endpoint, 'chat')
    assert.equal((await ask('x', { localAddress: '127.0.0.9' })).status, 200)
    const asked = paused.seen('chat').length + other.seen('chat').length
    const rest = await ask('x')
    assertError(rest, 429)
    assert.ok(Number(rest.headers['retry-after']) >= 1 && Number(rest.headers['retry-after']) <= 60)
    assert.equal(paused.seen('chat').length + other.seen('chat').length, asked)
  })

  test('is waited for where it ends within QUEUE_TIMEOUT, but not by the request that it was the answer to', async () => {
    await paused.answer(429, 'chat', { times: 1, headers: { 'retry-after': '1' } })
    const from = { localAddress: '127.0.0.10' }
    const refused = await ask('y', from)
    assert.deepEqual([refused.status, refused.headers['retry-after']], [429, '1'])
    assert.equal((await ask('y', from)).status, 200)
    const [before, after] = paused.seen('chat').slice(-2)
    // Clocks of timers and of the service are read apart.
    assert.ok(after!.at - before!.at >= 950, `${after!.at - before!.at} ms`)
  })
})

describe('an answer that may be held back', () => {
  test('streams from where it is too large, or too slow, and is then not tried elsewhere', async (t) => {
    const hand = await startHandService(t)
    const gateway = await gatewayForServices(t, [entryOf(hand)], SELDOM)
    const asking = askChat(gateway)
    const { response } = await hand.next()
    response.writeHead(500, { 'content-type': 'text/plain' })
    const page = 'x'.repeat(300_000)
    response.write(page)
    response.end('end')
    const large = await asking
    assert.deepEqual([large.status, large.text], [500, `${page}end`])

    const opening = openChat(gateway)
    const slow = (await hand.next()).response
    slow.writeHead(502, { 'content-type': 'text/plain' }).write('begin ')
    const open = await opening
    assert.equal(open.status, 502)
    await open.until((text) => text === 'begin ')
    slow.end('end')
    assert.equal((await open.ended).complete, true)
    assert.equal(open.text, 'begin end')
  })

  test('is forgotten with its client', async (t) => {
    const hand = await startHandService(t)
    const gateway = await gatewayForServices(t, [entryOf(hand)], SELDOM)
    const client = await openRaw(gateway.url, { t })
    const text = JSON.stringify(chat())
    client.send(`POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: ${text.length}\r\n\r\n${text}`)
    const { response } = await hand.next()
    response.writeHead(500).write('begin ')
    const left = once(response, 'close')
    client.socket.destroy()
    await left
    await inFlightIs(gateway, hand, 0)
  })
})
