import assert from 'node:assert/strict'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { startGateway } from '../../kit/builders/gateways.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { post, request } from '../../kit/http.ts'
import type { RequestOptions } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { assertError } from '../support.ts'
import { isMissing, workerAccepts } from './worker.ts'

const file = { after }
const nodes = await Promise.all([startFakeNode({ rateLimit: 0 }, file), startFakeNode({ rateLimit: 0 }, file)])
const addresses = nodes.map(({ address }) => address)

const ask = ({ url }: Gateway, more: object = {}, options: RequestOptions = {}) =>
  post(`${url}/route/`, { endpoint: 'echo', ...more }, options)

async function ticketOf(gateway: Gateway, more: object = {}): Promise<{ url: string; reqnum: number }> {
  const answer = await ask(gateway, more)
  assert.equal(answer.status, 200, answer.text)
  return answer.json()
}

describe('over a restart', async () => {
  const gateway = await startGateway(file, {
    nodes: [addresses[0]!],
    env: { STATE_URL: 'sqlite:data/gateway.db' },
  })

  test(
    'numbers go on, the key stays, its file is for its owner alone, and old tickets hold',
    { skip: isMissing },
    async (t) => {
      const before = await ask(gateway)
      const pem = (await request(`${gateway.url}/pubkey/`)).text
      const { reqnum } = before.json<{ reqnum: number }>()
      // Killed, not stopped: what a client has heard is already kept.
      await gateway.kill()
      await gateway.restart()
      await gateway.ready(1)
      assert.equal((await request(`${gateway.url}/pubkey/`)).text, pem)
      const later = await ask(gateway)
      assert.equal(later.json<{ reqnum: number }>().reqnum, reqnum + 1)
      const { mode } = await stat(join(gateway.cwd, 'data', 'ticket-key.pem'))
      assert.equal(mode & 0o777, 0o600)
      assert.deepEqual(await workerAccepts(t, pem, [before.text, later.text]), [true, true])
    },
  )
})

describe('a ticket counts as load at once', async () => {
  // After the first poll two calls are left: too few for one ahead of time, which would show that nothing arrived.
  const nodes = await Promise.all([1, 2].map(() => startFakeNode({ rateLimit: { info: 3 } }, file)))
  const addresses = nodes.map(({ address }) => address)
  const gateway = await startGateway(file, {
    nodes: addresses,
    env: { REFRESH_INTERVAL: '600' },
  })

  const unseen = async (): Promise<number[]> => {
    const { services } = (await request(`${gateway.url}/stats`)).json<{
      services: { name: string; unseen: number }[]
    }>()
    return addresses.map((address) => services.find(({ name }) => name === address)!.unseen)
  }

  test('so a herd spreads', async () => {
    const urls = (await Promise.all(Array.from({ length: 3 }, () => ticketOf(gateway)))).map(({ url }) => url)
    assert.equal(new Set(urls).size, 2, urls.join())
  })

  test('by its cost beside the mean one', async () => {
    for (let i = 0; i < 40; i++) await ticketOf(gateway, { cost: 1 })
    const before = await unseen()
    const { url } = await ticketOf(gateway, { cost: 20 })
    const more = (await unseen()).map((jobs, i) => jobs - before[i]!)
    const heavy = nodes.findIndex((node) => node.url === url)
    assert.ok(more[heavy]! > 8, String(more))
    for (let i = 0; i < 5; i++) assert.notEqual((await ticketOf(gateway)).url, url)
  })

  test('yet however large a cost is claimed, the worker stays in reach', async () => {
    for (let i = 0; i < 4; i++) await ticketOf(gateway, { cost: 1e308 })
    // What is beyond all numbers is null in JSON.
    for (const jobs of await unseen()) assert.ok(typeof jobs === 'number' && jobs < 1000, String(jobs))
  })
})

describe('the key to tickets', async () => {
  const gateway = await startGateway(file, {
    nodes: [addresses[0]!],
    env: { API_KEYS: 'key-of-one,key-of-two', RATELIMIT_REQS_PER_MIN: '4' },
  })

  test('is needed, else it is a 401 with WWW-Authenticate', async () => {
    for (const [more, headers] of [
      [{}, {}],
      [{ api_key: 'wrong' }, {}],
      [{ api_key: '' }, {}],
      [{}, { Authorization: 'Bearer wrong' }],
      // What the headers show counts before the body.
      [{ api_key: 'key-of-one' }, { Authorization: 'Bearer wrong' }],
      [{ api_key: 'key-of-one' }, { 'X-API-Key': 'wrong' }],
    ] as [object, Record<string, string>][]) {
      const answer = await ask(gateway, more, { headers })
      assertError(answer, 401)
      assert.match(answer.headers['www-authenticate'] ?? '', /^Bearer\b/)
    }
  })

  test('may be in either header or in the body, and is the caller for the limit, whatever the address', async () => {
    for (const [more, headers, localAddress] of [
      [{ api_key: 'key-of-one' }, {}, '127.0.0.1'],
      [{}, { Authorization: 'Bearer key-of-one' }, '127.0.0.2'],
      [{ api_key: 'wrong' }, { 'X-API-Key': 'key-of-one' }, '127.0.0.3'],
      [{ api_key: 'key-of-one' }, {}, '127.0.0.4'],
    ] as [object, Record<string, string>, string][]) {
      assert.equal((await ask(gateway, more, { headers, localAddress })).status, 200)
    }
    const answer = await ask(gateway, { api_key: 'key-of-one' }, { localAddress: '127.0.0.5' })
    assertError(answer, 429)
    assert.ok(Number(answer.headers['retry-after']) >= 1)
    assert.equal((await ask(gateway, { api_key: 'key-of-two' }, { localAddress: '127.0.0.5' })).status, 200)
  })

  test('is not needed for the public key, and is never shown', async () => {
    assert.equal((await request(`${gateway.url}/pubkey/`)).status, 200)
    const { text } = await ask(gateway, { api_key: 'key-of-two' })
    assert.ok(!text.includes('key-of-two'))
    assert.ok(!gateway.output.includes('key-of-one') && !gateway.output.includes('key-of-two'))
  })
})

test('without keys each address has a limit of its own', async (t) => {
  const gateway = await startGateway(t, { nodes: [addresses[0]!], env: { RATELIMIT_REQS_PER_MIN: '1' } })
  assert.equal((await ask(gateway, { api_key: 'any' }, { localAddress: '127.0.0.1' })).status, 200)
  assert.equal((await ask(gateway, { api_key: 'any' }, { localAddress: '127.0.0.2' })).status, 200)
  assertError(await ask(gateway, { api_key: 'other' }, { localAddress: '127.0.0.1' }), 429)
})
