import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { spawnGateway } from '../../kit/gateway.ts'
import { request } from '../../kit/http.ts'
import type { Answer } from '../../kit/http.ts'
import { assertError } from '../support.ts'

const gateway = await spawnGateway(
  { after },
  {
    env: {
      API_KEYS: 'client-key',
      OPS_KEY: 'operator-key',
      TRUST_PROXY: 'loopback',
      PROXY_RATELIMIT_REQS_PER_MIN: '0',
      READ_RATELIMIT_REQS_PER_MIN: '0',
      RATELIMIT_REQS_PER_MIN: '0',
    },
  },
)

const BUDGET = 60
let callers = 0
/** A client address of its own. */
const newAddress = (): string => `198.51.100.${++callers}`

interface Ask {
  path?: string
  headers?: Record<string, string>
  method?: string
  body?: object
}

function ask(address: string, { path = '/info', headers = {}, method = 'GET', body }: Ask): Promise<Answer> {
  return request(gateway.url + path, { method, body, headers: { 'X-Forwarded-For': address, ...headers } })
}

const wrong = { headers: { Authorization: 'Bearer wrong' } }

/** Shows wrong keys until one is refused with 429; returns that answer. Some more than the budget pass, as it refills meanwhile. */
async function exhaust(addressOf: (i: number) => string, what: Ask = wrong): Promise<Answer> {
  const startedAt = performance.now()
  for (let i = 0; ; i++) {
    const answer = await ask(addressOf(i), what)
    if (answer.status === 429) {
      assert.ok(i >= BUDGET, `refused after ${i}`)
      return answer
    }
    assert.equal(answer.status, 401)
    const refilled = (performance.now() - startedAt) / 1000
    assert.ok(i <= BUDGET + refilled + 1, `${i} wrong keys passed`)
  }
}

/** The answer of an address whose budget is used up: the first that is not of a key that was looked at because one refilled. */
async function refusal(address: string, what: Ask): Promise<Answer> {
  for (let refilled = 0; ; refilled++) {
    const answer = await ask(address, what)
    if (answer.status === 429 || refilled === 5) return answer
  }
}

describe('more than 60 wrong keys a minute from one address', () => {
  test('are a 429 that says when the next one is looked at', async () => {
    const address = newAddress()
    const answer = await exhaust(() => address)
    assert.match(assertError(answer, 429), /wrong keys/)
    assert.ok(Number(answer.headers['retry-after']) >= 1)
  })

  test('count together, whichever key they were to be and on whatever path', async () => {
    const address = newAddress()
    const asks: Ask[] = [
      wrong,
      { path: '/v1/models', headers: { 'X-API-Key': 'wrong' } },
      { path: '/api/jobs', method: 'POST', headers: { 'api-key': 'wrong' }, body: {} },
      { path: '/stats', headers: { Authorization: `Basic ${Buffer.from('a:wrong').toString('base64')}` } },
      { path: '/metrics', ...wrong },
      { path: '/route/', method: 'POST', body: { endpoint: 'a', api_key: 'wrong' } },
    ]
    await exhaust(() => address)
    for (const what of asks) assertError(await refusal(address, what), 429)
    // No key is needed here, but a wrong one must not be told from a right one for free.
    assertError(await refusal(address, { path: '/api/v1/containers', ...wrong }), 429)
  })

  test('stop neither a right key, nor who shows none, nor another address', async () => {
    const address = newAddress()
    await exhaust(() => address)
    const right = { Authorization: 'Bearer client-key' }
    for (let i = 0; i < 3; i++) {
      assert.notEqual((await ask(address, { path: '/v1/models', headers: right })).status, 429)
      assert.equal(
        (await ask(address, { path: '/stats', headers: { Authorization: 'Bearer operator-key' } })).status,
        200,
      )
    }
    const route = { path: '/route', method: 'POST', body: { endpoint: 'a', api_key: 'client-key' } }
    assertNoLimit(await ask(address, route))
    assertError(await ask(address, {}), 401)
    assertError(await ask(newAddress(), wrong), 401)
  })

  test('are counted by the /64 of an IPv6 address', async () => {
    const inOneNetwork = (i: number): string => `2001:db8:0:1:${i.toString(16)}::1`
    await exhaust(inOneNetwork)
    assertError(await ask('2001:db8:0:2::1', wrong), 401)
    // The same address in two spellings, IPv4 in IPv6 among them.
    const address = newAddress()
    await exhaust((i) => (i % 2 === 0 ? address : `::ffff:${address}`))
  })
})

test('requests without a key are no wrong keys', async () => {
  const address = newAddress()
  for (let i = 0; i < 70; i++) assertError(await ask(address, { headers: i % 2 ? { 'X-API-Key': '' } : {} }), 401)
})

test('where no key is asked for, none is wrong', async (t) => {
  const open = await spawnGateway(t, { env: { PROXY_RATELIMIT_REQS_PER_MIN: '0' } })
  for (let i = 0; i < 70; i++) assert.equal((await request(`${open.url}/stats`, wrong)).status, 200)
})

function assertNoLimit({ status, text }: Answer): void {
  assert.ok(status !== 429 && status !== 401, text)
}
