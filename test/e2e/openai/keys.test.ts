import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { jobOf } from '../../kit/builders/jobs.ts'
import { entryOf, gatewayForServices } from '../../kit/builders/gateways.ts'
import { post, request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import type { FakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { assertError } from '../support.ts'
import { chat } from './support.ts'

const file = { after }
const OWN_KEY = 'sk-of-the-service'
const [open, locked] = await Promise.all([
  startFakeOpenAi({ models: ['open'] }, file),
  startFakeOpenAi({ models: ['locked'], apiKey: OWN_KEY }, file),
])
const entries = [entryOf(open), entryOf(locked, { api_key: OWN_KEY })]

/** One gateway for all that needs keys but no limit. */
const guarded = await gatewayForServices(file, entries, { API_KEYS: 'key-of-one,key-of-two' })

/** The credentials that the last chat brought to the service. */
function credentialsAt(service: FakeOpenAi): (string | undefined)[] {
  const seen = service.seen('chat').at(-1)!
  return ['authorization', 'x-api-key', 'api-key'].map((name) => seen.header(name))
}

const ask = (url: string, model: string, headers: Record<string, string>) =>
  post(`${url}/v1/chat/completions`, chat({}, { model }), { headers })

describe('without API_KEYS', async () => {
  const gateway = await gatewayForServices(file, entries)

  test("a client's own key goes to a service that has none set", async () => {
    assert.equal((await ask(gateway.url, 'open', { Authorization: 'Bearer sk-of-a-client' })).status, 200)
    assert.deepEqual(credentialsAt(open), ['Bearer sk-of-a-client', undefined, undefined])
    await ask(gateway.url, 'open', { 'X-API-Key': 'sk-of-a-client' })
    assert.deepEqual(credentialsAt(open), [undefined, 'sk-of-a-client', undefined])
    await ask(gateway.url, 'open', {})
    assert.deepEqual(credentialsAt(open), [undefined, undefined, undefined])
  })

  test("a service's own key takes the place of whatever the client sent, also at its polls", async () => {
    for (const [headers, plain] of [
      [{}, undefined],
      [{ Authorization: 'Bearer sk-of-a-client' }, undefined],
      [{ Authorization: 'Basic c2s6c2s=' }, undefined],
      [{ Authorization: 'Bearer x', 'X-API-Key': 'sk-of-a-client', 'Api-Key': 'sk-of-a-client' }, OWN_KEY],
    ] as [Record<string, string>, string | undefined][]) {
      assert.equal((await ask(gateway.url, 'locked', headers)).status, 200)
      assert.deepEqual(credentialsAt(locked), [`Bearer ${OWN_KEY}`, plain, undefined])
    }
    assert.ok(locked.seen('models').every((seen) => seen.header('authorization') === `Bearer ${OWN_KEY}`))
    assert.ok(open.seen('models').every((seen) => seen.header('authorization') === undefined))
  })
})

describe('with API_KEYS', () => {
  const gateway = guarded

  test('every call needs one, else it is a 401 with WWW-Authenticate, and nothing is sent', async () => {
    const { length } = open.seen('chat')
    for (const headers of [{}, { Authorization: 'Bearer sk-of-a-client' }, { 'X-API-Key': 'key' }]) {
      for (const path of ['/v1/chat/completions', '/chat/completions', '/v1/audio/speech', '/v1/embeddings']) {
        const answer = await post(`${gateway.url}${path}`, chat({}, { model: 'open' }), { headers })
        assertError(answer, 401)
        assert.match(answer.headers['www-authenticate'] ?? '', /^Bearer\b/)
      }
      for (const path of ['/v1/models', '/models']) {
        assertError(await request(`${gateway.url}${path}`, { headers }), 401)
      }
    }
    assert.equal(open.seen('chat').length, length)
  })

  test('a header of a hostile length costs no time', async () => {
    const startMs = performance.now()
    for (let i = 0; i < 20; i++) {
      const answer = await ask(gateway.url, 'open', { Authorization: `Bearer a${' '.repeat(60_000)}b` })
      assertError(answer, 401)
    }
    // Milliseconds each, where the work grows with the length alone; seconds each where it grows with its square.
    assert.ok(performance.now() - startMs < 15_000)
  })

  test("a gateway's key never goes to a service, nor does any other with it", async () => {
    for (const headers of [
      { Authorization: 'Bearer key-of-one' },
      { 'X-API-Key': 'key-of-two' },
      { Authorization: 'bearer key-of-one', 'X-API-Key': 'key-of-two', 'Api-Key': 'key-of-one' },
      { Authorization: 'Basic c2s6c2s=', 'X-API-Key': 'key-of-one' },
    ] as Record<string, string>[]) {
      assert.equal((await ask(gateway.url, 'open', headers)).status, 200)
      assert.deepEqual(credentialsAt(open), [undefined, undefined, undefined])
      assert.equal((await ask(gateway.url, 'locked', headers)).status, 200)
      assert.equal(credentialsAt(locked)[0], `Bearer ${OWN_KEY}`)
    }
    for (const service of [open, locked]) {
      const all = JSON.stringify(service.requests.map(({ rawHeaders }) => rawHeaders))
      assert.ok(!all.includes('key-of-one') && !all.includes('key-of-two'))
    }
    assert.ok(!gateway.output.includes('key-of-one') && !gateway.output.includes(OWN_KEY))
  })
})

describe('the key is the caller', async () => {
  const node = await startFakeNode({ rateLimit: 0 }, file)
  const one = { Authorization: 'Bearer key-of-one' }
  const two = { 'X-API-Key': 'key-of-two' }

  test('for limits: two keys from one address have a budget each, one key from two addresses has one', async (t) => {
    const gateway = await gatewayForServices(t, entries, {
      API_KEYS: 'key-of-one,key-of-two',
      PROXY_RATELIMIT_REQS_PER_MIN: '3',
    })
    const { url } = gateway
    const body = chat({}, { model: 'open' })
    const from = (localAddress: string, headers: Record<string, string>) =>
      post(`${url}/v1/chat/completions`, body, { headers, localAddress })
    for (const address of ['127.0.0.1', '127.0.0.2', '127.0.0.1']) assert.equal((await from(address, one)).status, 200)
    for (const address of ['127.0.0.1', '127.0.0.2', '127.0.0.3']) {
      const answer = await from(address, one)
      assertError(answer, 429)
      assert.ok(Number(answer.headers['retry-after']) >= 1)
    }
    assert.equal((await from('127.0.0.1', two)).status, 200)
    // Who shows no key spends nobody's budget.
    for (let i = 0; i < 5; i++) assertError(await from('127.0.0.1', {}), 401)
    assert.equal((await from('127.0.0.1', two)).status, 200)
  })

  test('for jobs: two keys from one address see their own, one key from two addresses the same', async () => {
    const { url } = guarded
    await guarded.setNodes([node.address])
    await guarded.ready(3)
    const submit = async (headers: Record<string, string>, localAddress: string): Promise<string> =>
      (await post(`${url}/api/jobs`, jobOf(), { headers, localAddress })).json<{ id: string }>().id
    const list = async (headers: Record<string, string>, localAddress: string): Promise<string[]> =>
      (await request(`${url}/api/jobs`, { headers, localAddress })).json<string[]>().sort()
    const ofOne = [await submit(one, '127.0.0.1'), await submit(one, '127.0.0.2')].sort()
    const ofTwo = [await submit(two, '127.0.0.1')]
    for (const address of ['127.0.0.1', '127.0.0.2']) {
      assert.deepEqual(await list(one, address), ofOne)
      assert.deepEqual(await list(two, address), ofTwo)
    }
    const read = await request(`${url}/api/jobs?id=${ofOne[0]}`, { headers: two })
    assert.deepEqual(read.json(), [])
  })
})
