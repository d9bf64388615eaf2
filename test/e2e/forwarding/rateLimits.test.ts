import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { entryOf, gatewayFor, gatewayForServices } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { openStream, post, request } from '../../kit/http.ts'
import type { Answer, RequestOptions } from '../../kit/http.ts'
import { shiftedClock } from '../../kit/shiftedClock.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { eventually } from '../../kit/wait.ts'
import { askChat } from '../openai/support.ts'
import { assertError } from '../support.ts'

const file = { after }
/** Soon reached, and refilled by one in six seconds only: not while a test sends a dozen requests. */
const TEN = {
  PROXY_RATELIMIT_REQS_PER_MIN: '10',
  READ_RATELIMIT_REQS_PER_MIN: '10',
  RATELIMIT_REQS_PER_MIN: '10',
}
const node = await startFakeNode({ rateLimit: 1000 }, file)
const gateway = await gatewayFor(file, [node], { ...TEN, TRUST_PROXY: 'loopback' })

/** As a client with that address, whom a trusted proxy names. */
function as(address: string): RequestOptions {
  return { headers: { 'X-Forwarded-For': address } }
}

function submit(address: string, at: Gateway = gateway): Promise<Answer> {
  return post(`${at.url}/api/jobs`, jobOf(), as(address))
}

function batch(address: string, items: number | object[]): Promise<Answer> {
  const body = typeof items === 'number' ? Array.from({ length: items }, () => jobOf()) : items
  return post(`${gateway.url}/api/jobs/batch`, body, as(address))
}

function remainingOf({ headers }: Answer): number {
  assert.equal(headers['ratelimit-limit'], '10')
  assert.match(String(headers['ratelimit-reset']), /^\d+$/)
  return Number(headers['ratelimit-remaining'])
}

/** A 429 of the rate limit that is over within so many seconds; returns the seconds. */
function assertRefused(answer: Answer, mostSeconds: number, setting = 'PROXY_RATELIMIT_REQS_PER_MIN'): number {
  const message = assertError(answer, 429)
  assert.ok(message.startsWith(`Too many requests: ${setting} allows 10 a minute`), message)
  const seconds = Number(answer.headers['retry-after'])
  assert.equal(answer.headers['ratelimit-reset'], String(seconds))
  assert.ok(Number.isInteger(seconds) && seconds >= 1 && seconds <= mostSeconds, `Retry-After: ${seconds}`)
  return seconds
}

describe('forwarded calls', () => {
  test('show what is left of the gateway’s own limit, never of a node’s', async () => {
    const first = await submit('192.0.2.1')
    assert.equal(first.status, 200)
    assert.equal(remainingOf(first), 9)
    const stream = await openStream(`${gateway.url}/api/jobs/stream`, { body: jobOf(), ...as('192.0.2.1') })
    assert.equal(stream.headers['ratelimit-remaining'], '8')
    await stream.ended
    assert.equal(remainingOf(await batch('192.0.2.1', 2)), 6)
    assert.equal(remainingOf(await post(`${gateway.url}/api/jobs`, 'no JSON', as('192.0.2.1'))), 5)
  })

  test('show nothing where there is no limit', async (t) => {
    const unlimited = await gatewayFor(t, [node])
    const { headers } = await post(`${unlimited.url}/api/jobs`, jobOf())
    assert.deepEqual(
      Object.keys(headers).filter((name) => name.includes('ratelimit')),
      [],
    )
  })

  test('over the limit are refused until the next one passes, not until the end of a minute', async () => {
    for (let i = 0; i < 10; i++) assert.equal((await submit('192.0.2.2')).status, 200)
    const refused = await submit('192.0.2.2')
    assertRefused(refused, 6)
    assert.equal(remainingOf(refused), 0)
    assert.equal((await submit('192.0.2.3')).status, 200)
  })

  test('pass again when the refusal said so', async (t) => {
    const quick = await gatewayFor(t, [node], { PROXY_RATELIMIT_REQS_PER_MIN: '60' })
    let answer = await post(`${quick.url}/api/jobs`, jobOf())
    for (let i = 0; answer.status === 200 && i < 1000; i++) answer = await post(`${quick.url}/api/jobs`, jobOf())
    assertError(answer, 429)
    assert.equal(answer.headers['retry-after'], '1')
    await eventually(async () => (await post(`${quick.url}/api/jobs`, jobOf())).status === 200, { everyMs: 250 })
  })

  test('of an OpenAI client count and show the same', async (t) => {
    const openai = await gatewayForServices(t, [entryOf(await startFakeOpenAi({}, t))], TEN)
    const ask = (): Promise<Answer> => askChat(openai)
    const first = await ask()
    assert.equal(first.status, 200)
    assert.equal(remainingOf(first), 9)
    for (let i = 0; i < 9; i++) assert.equal((await ask()).status, 200)
    assertRefused(await ask(), 6)
  })
})

describe('reads', () => {
  const read = (path: string, more: RequestOptions = as('192.0.2.30')): Promise<Answer> =>
    request(gateway.url + path, more)

  test('have a budget of their own, which all of them share', async () => {
    const paths = ['/api/jobs', '/info', '/resources', '/v1/models', '/models', '/v1/models/m', '/v1/responses/resp_1']
    for (const [n, path] of paths.entries()) assert.equal(remainingOf(await read(path)), 9 - n, path)
    assert.equal(remainingOf(await read('/info', { method: 'HEAD', ...as('192.0.2.30') })), 2)
    assert.equal(remainingOf(await submit('192.0.2.30')), 9)
    for (let i = 0; i < 2; i++) await read('/info')
    for (const path of ['/api/jobs', '/info']) assertRefused(await read(path), 6, 'READ_RATELIMIT_REQS_PER_MIN')
    assert.equal(remainingOf(await submit('192.0.2.30')), 8)
    assert.equal((await read('/info', as('192.0.2.31'))).status, 200)
  })

  test('pass while all work is used up', async () => {
    for (let i = 0; i < 10; i++) await submit('192.0.2.32')
    assertRefused(await submit('192.0.2.32'), 6)
    assert.equal(remainingOf(await read('/api/jobs', as('192.0.2.32'))), 9)
  })

  test('that wait for a job to end count once', async () => {
    const { id } = (await post(`${gateway.url}/api/jobs`, jobOf({ seconds: 0.3 }), as('192.0.2.33'))).json<{
      id: string
    }>()
    const waited = await read(`/api/jobs?id=${id}&wait=30`, as('192.0.2.33'))
    assert.match(waited.text, /success/)
    assert.equal(remainingOf(waited), 9)
  })
})

describe('callers with IPv6 addresses and no key', () => {
  test('count by network of 64 bits, in whatever spelling; the neighbouring network has a budget of its own', async () => {
    for (let i = 0; i < 10; i++) assert.equal((await submit(`2001:DB8:0:1:${i}::00${i}`)).status, 200)
    assertRefused(await submit('2001:db8::1:ffff:0:0:1'), 6)
    assert.equal((await submit('2001:db8:0:2::1')).status, 200)
  })

  test('own their jobs by address, in whatever spelling', async () => {
    const { id } = (await submit('2001:db8:0:3::1')).json<{ id: string }>()
    const read = async (address: string): Promise<string[]> =>
      (await request(`${gateway.url}/api/jobs`, as(address))).json<string[]>()
    assert.deepEqual(await read('2001:0DB8:0000:0003:0:0:0:1'), [id])
    assert.deepEqual(await read('2001:db8:0:3::2'), [])
  })

  test('are callers with IPv4 addresses where the address is one in IPv6’s clothes', async () => {
    for (let i = 0; i < 5; i++) assert.equal((await submit('::FFFF:192.0.2.4')).status, 200)
    for (let i = 0; i < 5; i++) assert.equal((await submit('::ffff:c000:204')).status, 200)
    assertRefused(await submit('192.0.2.4'), 6)
    assert.equal((await submit('192.0.2.5')).status, 200)
  })
})

describe('a batch', () => {
  test('counts as many requests as it has items, bad ones too, and nothing for itself', async () => {
    assert.equal(remainingOf(await batch('192.0.2.10', [jobOf(), { containers: [] }, jobOf()])), 7)
    assert.equal(remainingOf(await batch('192.0.2.10', 7)), 0)
    assertRefused(await batch('192.0.2.10', 1), 6)
  })

  test('is refused as a whole before anything is sent, and told when all of it passes', async () => {
    await batch('192.0.2.11', 8)
    const before = node.seen('batch').length
    const seconds = assertRefused(await batch('192.0.2.11', 8), 36)
    assert.ok(seconds > 6, `Retry-After: ${seconds}`)
    assert.equal(node.seen('batch').length, before)
    // Being refused cost nothing.
    assert.equal(remainingOf(await batch('192.0.2.11', 2)), 0)
    assert.ok(assertRefused(await batch('192.0.2.11', 10), 60) > 36)
  })

  test('counts as one request where it cannot be read', async () => {
    assert.equal(remainingOf(await batch('192.0.2.12', [])), 9)
    for (const body of ['[', '{}']) {
      assertError(await post(`${gateway.url}/api/jobs/batch`, body, as('192.0.2.12')), 400)
    }
    assert.equal(remainingOf(await submit('192.0.2.12')), 6)
  })

  test('of more items than the limit could ever admit gets 413, which names the limit', async () => {
    const answer = await batch('192.0.2.13', 11)
    assert.match(assertError(answer, 413), /\bPROXY_RATELIMIT_REQS_PER_MIN is 10$/)
    assert.equal(answer.headers['retry-after'], undefined)
    assert.equal(remainingOf(answer), 9)
  })
})

describe('a clock that is set', () => {
  for (const [direction, aheadMs] of [
    ['back', -3_600_000],
    ['forward', 3_600_000],
  ] as const) {
    test(`${direction} by an hour changes nothing about who may ask when`, async (t: TestContext) => {
      const clock = await shiftedClock(t)
      const clocked = await gatewayFor(t, [node], { ...TEN, TRUST_PROXY: 'loopback', ...clock.env })
      for (let i = 0; i < 9; i++) assert.equal((await submit('192.0.2.20', clocked)).status, 200)
      clock.set(aheadMs)
      assert.equal((await submit('192.0.2.20', clocked)).status, 200)
      const refused = await submit('192.0.2.20', clocked)
      const { time } = await clocked.waitForLog((line) => line['status'] === 429)
      assert.ok(
        Math.abs(Date.parse(String(time)) - Date.now()) > 3_000_000,
        'the gateway goes by the clock that was set',
      )
      assertRefused(refused, 6)
      assert.equal((await submit('192.0.2.21', clocked)).status, 200)
      const lookUp = await request(`${clocked.url}/api/v1/ips?container=echo`, as('192.0.2.20'))
      assert.equal(remainingOf(lookUp), 9)
    })
  }
})
