import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { spawnGateway } from '../../kit/gateway.ts'
import { request } from '../../kit/http.ts'
import type { Answer } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { assertError } from '../support.ts'

const file = { after }
const node = await startFakeNode({ rateLimit: 0 }, file)
const gateway = await spawnGateway(file, { nodes: [node.address] })
await gateway.ready(1)

async function times(n: number, path: string, from: string, headers: Record<string, string> = {}): Promise<Answer[]> {
  const answers: Answer[] = []
  for (let i = 0; i < n; i++) answers.push(await request(gateway.url + path, { localAddress: from, headers }))
  return answers
}

const statuses = (answers: Answer[]): number[] => answers.map(({ status }) => status)
const ALLOWED = Array.from({ length: 10 }, () => 200)

describe('look-ups are limited', () => {
  test('to ten a minute, after which a 429 in JSON says when the next one passes', async () => {
    const answers = await times(12, '/api/v1/ips?container=echo', '127.0.0.2')
    assert.deepEqual(statuses(answers), [...ALLOWED, 429, 429])
    for (const answer of answers.slice(10)) {
      assertError(answer, 429)
      const seconds = answer.headers['retry-after'] ?? ''
      assert.match(seconds, /^\d+$/)
      assert.ok(Number(seconds) >= 1 && Number(seconds) <= 6, seconds)
      assert.equal(answer.headers['ratelimit-reset'], seconds)
    }
  })

  test('for each caller apart', async () => {
    assert.deepEqual(statuses(await times(1, '/api/v1/ips?container=echo', '127.0.0.2')), [429])
    assert.deepEqual(statuses(await times(1, '/api/v1/ips?container=echo', '127.0.0.3')), [200])
  })

  for (const path of ['/api/v1/ip', '/api/v1/containers', '/api/v1/resources']) {
    test(`on each endpoint apart: ${path} has a budget of its own`, async () => {
      assert.deepEqual(statuses(await times(11, path, '127.0.0.2')), [...ALLOWED, 429])
    })
  }

  test('whatever the query, the trailing slash, HEAD for GET, and what the client says of where it comes from', async () => {
    const from = '127.0.0.4'
    await times(3, '/api/v1/ips?container=echo', from)
    await times(3, '/api/v1/ips/?container=nowhere&n=1', from)
    assert.deepEqual(statuses(await times(2, '/api/v1/ips', from)), [400, 400])
    await request(`${gateway.url}/api/v1/ips?container=echo`, { method: 'HEAD', localAddress: from })
    const forged = { 'X-Forwarded-For': '9.9.9.9', Forwarded: 'for=9.9.9.9', 'X-Real-IP': '9.9.9.9' }
    const answers = await times(2, '/api/v1/ips?container=echo', from, forged)
    assert.deepEqual(statuses(answers), [200, 429])
  })

  test('as no page is that watches the gateway', async () => {
    for (const path of ['/health', '/livez', '/readyz', '/services', '/stats', '/metrics']) {
      assert.deepEqual(statuses(await times(11, path, '127.0.0.5')), [...ALLOWED, 200], path)
    }
  })

  test('evenly: after the time that a 429 names the next one passes', async () => {
    await gateway.restart({ RATELIMIT_REQS_PER_MIN: '60' })
    await gateway.ready(1)
    const path = '/api/v1/ips?container=echo'
    let answer = (await times(60, path, '127.0.0.2')).at(-1)!
    for (let n = 0; answer.status === 200 && n < 60; n++) answer = (await times(1, path, '127.0.0.2'))[0]!
    assert.equal(answer.status, 429)
    assert.equal(answer.headers['retry-after'], '1')
    await new Promise((resolve) => setTimeout(resolve, 1000))
    assert.deepEqual(statuses(await times(1, path, '127.0.0.2')), [200])
  })

  test('for each API key apart, wherever it is used from; whoever shows no valid one counts by address', async () => {
    await gateway.restart({ API_KEYS: 'one,two', RATELIMIT_REQS_PER_MIN: '2' })
    await gateway.ready(1)
    const get = async (n: number, from: string, headers: Record<string, string> = {}): Promise<number[]> =>
      statuses(await times(n, '/api/v1/ips?container=echo', from, headers))
    const one = { Authorization: 'Bearer one' }
    assert.deepEqual(await get(1, '127.0.0.2', one), [200])
    assert.deepEqual(await get(2, '127.0.0.3', one), [200, 429])
    assert.deepEqual(await get(3, '127.0.0.3', { 'X-API-Key': 'two' }), [200, 200, 429])
    assert.deepEqual(await get(1, '127.0.0.3'), [200])
    assert.deepEqual(await get(2, '127.0.0.3', { Authorization: 'Bearer other' }), [200, 429])
  })

  test('as the caller is known by a trusted proxy, and not at all where the limit is 0', async () => {
    await gateway.restart({ TRUST_PROXY: '127.0.0.6', RATELIMIT_REQS_PER_MIN: '2' })
    await gateway.ready(1)
    const path = '/api/v1/ips?container=echo'
    const statusesOf = async (client: string): Promise<number[]> =>
      statuses(await times(3, path, '127.0.0.6', { 'X-Forwarded-For': client }))
    assert.deepEqual(await statusesOf('10.0.0.1'), [200, 200, 429])
    assert.deepEqual(await statusesOf('10.0.0.2'), [200, 200, 429])
    // One host can have every address of its IPv6 network.
    assert.deepEqual(await statusesOf('2001:db8::1'), [200, 200, 429])
    assert.deepEqual(await statusesOf('2001:db8::2'), [429, 429, 429])
    assert.deepEqual(await statusesOf('2001:db8:0:1::1'), [200, 200, 429])

    await gateway.restart({ RATELIMIT_REQS_PER_MIN: '0' })
    await gateway.ready(1)
    const answers = await times(40, path, '127.0.0.2')
    assert.ok(answers.every(({ status }) => status === 200))
  })
})
