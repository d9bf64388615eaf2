import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { entryOf, gatewayForServices } from '../../kit/builders/gateways.ts'
import { openRaw, request } from '../../kit/http.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { eventually } from '../../kit/wait.ts'
import { assertError, statsOf } from '../support.ts'
import { askChat, chat, inFlightIs, openChat, startHandService } from './support.ts'

const file = { after }
const hand = await startHandService(file)
const gateway = await gatewayForServices(file, [entryOf(hand)])

/** Events as a service may write them: comments, other line ends, bytes that are no UTF-8, a member that is not JSON. */
const ODD = Buffer.from(': ping\r\n\r\ndata: {"a": 1e2,  "b":"\xff"}\r\rid\n\ndata:[DONE]x\n\n', 'latin1')
const EVENTS = { 'content-type': 'text/event-stream; charset=utf-8' }

describe('events', () => {
  test('reach the client byte for byte, each as soon as the service has written it', async () => {
    const opening = openChat(gateway)
    const { response } = await hand.next()
    response.writeHead(200, { ...EVENTS, 'x-own': 'kept', 'x-request-id': 'not-ours' })
    response.flushHeaders()
    // The head comes before anything else is written.
    const stream = await opening
    assert.equal(stream.status, 200)
    assert.equal(stream.headers['content-type'], EVENTS['content-type'])
    assert.equal(stream.headers['x-own'], 'kept')
    assert.notEqual(stream.headers['x-request-id'], 'not-ours')
    let written = Buffer.alloc(0)
    for (const piece of [ODD, Buffer.from('d'), Buffer.from('ata: {"half'), ODD]) {
      response.write(piece)
      written = Buffer.concat([written, piece])
      // The next is written only when this one has been read.
      await stream.until(() => Buffer.concat(stream.pieces.map(({ bytes }) => bytes)).equals(written))
    }
    response.end()
    assert.equal((await stream.ended).complete, true)
    assert.deepEqual(Buffer.concat(stream.pieces.map(({ bytes }) => bytes)), written)
  })

  test('that break off are broken off for the client, without an invented end', async (t) => {
    for (const httpVersion of ['1.1', '1.0']) {
      const text = JSON.stringify(chat({}, { stream: true }))
      const client = await openRaw(gateway.url, { t })
      const broken = new Promise((resolve) => client.socket.on('error', resolve))
      client.send(
        `POST /v1/chat/completions HTTP/${httpVersion}\r\nHost: x\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
      )
      const { response } = await hand.next()
      response.writeHead(200, EVENTS).write('data: {"first":1}\n\n')
      await client.until((received) => received.includes('{"first":1}\n\n'))
      response.destroy()
      const received = await client.closed()
      assert.ok(!received.includes('[DONE]') && !received.includes('error'), received)
      // An end without the last chunk; to a client that knows no chunks, a reset.
      if (httpVersion === '1.1') assert.ok(!received.endsWith('0\r\n\r\n'), received)
      else await broken
      await inFlightIs(gateway, hand, 0)
    }
    const { error_count } = await statsOf(gateway, hand)
    assert.equal(error_count, 2)
  })

  test('that end with an error event end as they do', async () => {
    const { error_count } = await statsOf(gateway, hand)
    const opening = openChat(gateway)
    const { response } = await hand.next()
    const failed = 'data: {"first":1}\n\ndata: {"error":{"message":"the engine failed"}}\n\n'
    response.writeHead(200, EVENTS).end(failed)
    const stream = await opening
    assert.equal((await stream.ended).complete, true)
    assert.equal(stream.text, failed)
    assert.equal((await statsOf(gateway, hand)).error_count, error_count)
  })

  test('are held back at the service while the client does not read', async (t) => {
    const text = JSON.stringify(chat({}, { stream: true }))
    const client = await openRaw(gateway.url, { t })
    client.socket.pause()
    client.send(`POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: ${text.length}\r\n\r\n${text}`)
    const { response } = await hand.next()
    response.writeHead(200, EVENTS)
    const event = Buffer.from(`data: ${'x'.repeat(65_528)}\n\n`)
    let written = 0
    const writeOn = (): void => {
      while (written < 200 && !response.destroyed) {
        written++
        if (!response.write(event)) return void response.once('drain', writeOn)
      }
      response.end()
    }
    writeOn()
    let seen = -1
    // What the buffers of the sockets hold goes on; then it stops.
    await eventually(() => written === seen || ((seen = written), false), { everyMs: 150 })
    assert.ok(written < 200, 'all of it was taken')
    client.socket.resume()
    const received = await client.until((all) => all.endsWith('0\r\n\r\n'))
    assert.equal(received.split('data: ').length - 1, 200)
  })
})

describe('an answer in one piece', () => {
  test('comes with the bytes, the status and the headers that the service gave', async () => {
    for (const [status, body, type] of [
      [200, '{"a": 123456789012345678901234, "b":1e400 ,"c":NaN}', 'application/json'],
      [201, '', 'text/plain'],
      [400, '{"error": {"message": "bad",  "code":null}}', 'application/json; charset=utf-8'],
      [401, 'not JSON at all \xff', 'text/html'],
      [402, '{}', 'application/json'],
      [404, '{"error":{"message":"The model does not exist","code":"model_not_found"}}', 'application/json'],
      [413, 'x', 'text/plain'],
      [422, '{"detail":[{"loc":["body"]}]}', 'application/json'],
      [500, '{"error":{"message":"the engine failed"}}', 'application/json'],
    ] as const) {
      const answering = askChat(gateway)
      const { response } = await hand.next()
      const bytes = Buffer.from(body, 'latin1')
      response.writeHead(status, { 'content-type': type, 'content-length': bytes.length, 'x-own': 'kept' }).end(bytes)
      const answer = await answering
      assert.equal(answer.status, status)
      assert.deepEqual(answer.body, bytes)
      assert.equal(answer.headers['content-type'], type)
      assert.equal(answer.headers['x-own'], 'kept')
      assert.equal(answer.headers['x-infernet-node'], hand.address)
    }
  })

  test('with a 4xx or 500 is never held against the service', async () => {
    for (let i = 0; i < 8; i++) {
      const answering = askChat(gateway)
      const { response } = await hand.next()
      response.writeHead([400, 404, 422, 500][i % 4]!).end('{}')
      await answering
    }
    const stats = (await request(`${gateway.url}/stats`)).json<{
      services: { healthy: boolean; failure_level: number; ejected_until: unknown }[]
    }>().services[0]!
    assert.equal(stats.healthy, true)
    assert.ok(stats.failure_level < 0.5, String(stats.failure_level))
    assert.equal(stats.ejected_until, null)
    assert.ok(!gateway.logs.some(({ message }) => message === 'node ejected'))
  })

  test('that breaks off is broken off for the client too', async () => {
    const answering = askChat(gateway)
    const { response } = await hand.next()
    response.writeHead(200, { 'content-length': 100 }).write('{"half":', () => response.destroy())
    await assert.rejects(answering)
  })

  test('that never begins, since the service closed, is a 502; it is not asked a second time', async () => {
    const answering = askChat(gateway)
    const { response } = await hand.next()
    response.destroy()
    assertError(await answering, 502)
  })
})

describe('a service that will not', async () => {
  const [first, second] = await Promise.all([startFakeOpenAi({}, file), startFakeOpenAi({}, file)])
  const pair = await gatewayForServices(file, [entryOf(first), entryOf(second)])

  test('is passed over for another that will', async () => {
    for (const status of [429, 503]) {
      await first.answer(status, 'chat', { times: 1, headers: { 'retry-after': '1' } })
      for (let i = 0; i < 4; i++) {
        const answer = await askChat(pair)
        assert.equal(answer.status, 200)
      }
      await first.behave()
    }
  })

  test('has its own refusal passed on where nobody else will either, and is asked again once its time is over', async () => {
    const body = '{"error":{"message":"Rate limit reached","type":"tokens","code":"rate_limit_exceeded"}}'
    const limited = { body, headers: { 'retry-after': '2', 'x-ratelimit-remaining-tokens': '0' } }
    await Promise.all([first.answer(429, 'chat', limited), second.answer(429, 'chat', limited)])
    const answer = await askChat(pair)
    assert.equal(answer.status, 429)
    assert.equal(answer.text, body)
    assert.equal(answer.headers['retry-after'], '2')
    assert.equal(answer.headers['x-ratelimit-remaining-tokens'], '0')
    await Promise.all([first.behave(), second.behave()])
    const asked = first.seen('chat').length + second.seen('chat').length
    // The next request waits until one of them may be asked again.
    const early = await askChat(pair)
    assert.equal(early.status, 200)
    assert.ok(Number(early.headers['x-queue-ms']) > 0)
    assert.equal(first.seen('chat').length + second.seen('chat').length, asked + 1)
  })

  test('of several that refuse the one that asks for the least patience is passed on, at least a second of it', async () => {
    let callers = 1
    for (const [patience, told] of [
      [{ 'retry-after': '5' }, '5'],
      [{ 'retry-after': '0' }, '1'],
      [{}, '1'],
    ] as const) {
      await first.answer(429, 'chat', { body: '{"error":"first"}', headers: { 'retry-after': '30' } })
      await second.answer(429, 'chat', { body: '{"error":"second"}', headers: patience })
      for (let i = 0; i < 3; i++) {
        const answer = await askChat(pair, chat(), { localAddress: `127.0.0.${++callers}` })
        assert.deepEqual([answer.status, answer.text], [429, '{"error":"second"}'])
        assert.equal(answer.headers['retry-after'], told)
      }
    }
    await Promise.all([first.behave(), second.behave()])
  })

  test('because nothing listens there any more is passed over too', async () => {
    await first.refuse()
    for (let i = 0; i < 4; i++) {
      const answer = await askChat(pair, chat(), { localAddress: '127.0.0.100' })
      assert.equal(answer.headers['x-infernet-node'], second.address)
    }
    await first.comeBack()
  })
})

describe('a service that breaks three answers', async () => {
  const hand = await startHandService(file)
  const gateway = await gatewayForServices(file, [entryOf(hand)], { REFRESH_INTERVAL: '60' })
  const isSetAside = async (): Promise<boolean> => {
    const { services } = (await request(`${gateway.url}/stats`)).json<{ services: { ejected_until: unknown }[] }>()
    return services[0]!.ejected_until !== null
  }
  const breakThree = async (): Promise<void> => {
    for (let i = 0; i < 3; i++) {
      const opening = openChat(gateway)
      const { response } = await hand.next()
      response.writeHead(200).write('data: 1\n\n')
      const open = await opening
      await open.until((text) => text.includes('1'))
      response.destroy()
      assert.equal((await open.ended).complete, false)
    }
    await eventually(isSetAside)
  }

  test('is set aside, though each had begun', breakThree)

  test('is trusted again as soon as one begins, not only when that has ended', async (t) => {
    const opening = openChat(gateway)
    const { response } = await hand.next()
    response.writeHead(200).write('data: 1\n\n')
    t.after(() => response.destroy())
    const open = await opening
    await open.until((text) => text.includes('1'))
    assert.equal(await isSetAside(), false)
    response.end()
    assert.equal((await open.ended).complete, true)
    await breakThree()
  })
})
