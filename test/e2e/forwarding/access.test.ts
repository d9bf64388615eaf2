import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { post, request } from '../../kit/http.ts'
import type { Answer } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { assertError } from '../support.ts'

const file = { after }
const node = await startFakeNode({ rateLimit: 0 }, file)

describe('with API_KEYS', async () => {
  const gateway = await gatewayFor(file, [node], { API_KEYS: 'key-of-one, key-of-two' })
  const one = { headers: { Authorization: 'Bearer key-of-one' } }
  const two = { headers: { 'X-API-Key': 'key-of-two' } }

  const FORWARDED: [method: string, path: string, body?: object][] = [
    ['POST', '/api/jobs', jobOf()],
    ['POST', '/api/jobs/stream', jobOf()],
    ['POST', '/api/jobs/batch', [jobOf()]],
    ['GET', '/api/jobs'],
    ['GET', '/api/jobs?id=x'],
    ['PUT', '/api/status', { id: 'x', status: 'success', containers: [] }],
    ['GET', '/info'],
    ['GET', '/resources'],
  ]

  test('every forwarded call needs one, else it is a 401 that says how', async () => {
    const seen = node.requests.filter(({ method }) => method !== 'GET').length
    for (const headers of [
      {},
      { Authorization: 'Bearer key-of-three' },
      { Authorization: 'Bearer ' },
      { Authorization: 'key-of-one' },
      { Authorization: 'Basic key-of-one' },
      { 'X-API-Key': 'key-of-on' },
      { 'X-API-Key': 'key-of-one, key-of-two' },
      { 'X-API-Key': '' },
      // Who shows two keys is judged by the first.
      { Authorization: 'Bearer wrong', 'X-API-Key': 'key-of-one' },
    ]) {
      for (const [method, path, body] of FORWARDED) {
        const answer = await request(`${gateway.url}${path}`, { method, headers, body })
        assertError(answer, 401)
        assert.match(answer.headers['www-authenticate'] ?? '', /^Bearer\b/)
      }
    }
    assert.equal(node.requests.filter(({ method }) => method !== 'GET').length, seen)
  })

  test('either header will do', async () => {
    for (const headers of [
      { Authorization: 'Bearer key-of-one' },
      { Authorization: 'bearer key-of-two' },
      { 'X-API-Key': 'key-of-one' },
    ]) {
      for (const [method, path, body] of FORWARDED) {
        const answer = await request(`${gateway.url}${path}`, { method, headers, body })
        assert.ok(answer.status === 200 || path === '/api/status', `${method} ${path}: ${answer.status}`)
        assert.notEqual(answer.status, 401)
      }
    }
  })

  test('no key ever reaches a node, or the log', async () => {
    const marks = /key-of-|authorization|api-key/i
    for (const { rawHeaders, url } of node.requests) assert.doesNotMatch([...rawHeaders, url].join('\n'), marks)
    assert.doesNotMatch(gateway.output, /key-of-/)
  })

  test('what only looks, or watches, needs none', async () => {
    for (const path of ['/health', '/livez', '/readyz', '/api/v1/ips?container=echo', '/api/v1/containers', '/stats']) {
      assert.equal((await request(`${gateway.url}${path}`)).status, 200, path)
    }
  })

  test('jobs belong to the key, wherever it is shown', async () => {
    const { id } = (await post(`${gateway.url}/api/jobs`, jobOf(), one)).json<{ id: string }>()
    const url = `${gateway.url}/api/jobs?id=${id}`
    assert.equal((await request(url, { ...one, localAddress: '127.0.0.41' })).json<unknown[]>().length, 1)
    assert.equal((await request(url, two)).text, '[]')
    assert.ok(!(await request(`${gateway.url}/api/jobs`, two)).text.includes(id))
  })
})

describe('a caller’s limit', async () => {
  const gateway = await gatewayFor(file, [node], { PROXY_RATELIMIT_REQS_PER_MIN: '12' })
  let callers = 0
  const newCaller = (): { localAddress: string } => ({ localAddress: `127.0.3.${++callers}` })

  test('of PROXY_RATELIMIT_REQS_PER_MIN counts all forwarded work together, and each caller alone', async () => {
    const from = newCaller()
    const paths = ['/api/jobs', '/api/jobs/stream', '/v1/chat/completions']
    const send = (i: number): Promise<Answer> => post(gateway.url + paths[i % 3]!, jobOf({}, []), from)
    for (let i = 0; i < 12; i++) assert.notEqual((await send(i)).status, 429)
    for (let i = 0; i < 3; i++) {
      const answer = await send(i)
      assertError(answer, 429)
      const seconds = Number(answer.headers['retry-after'])
      assert.ok(seconds >= 1 && seconds <= 60, String(seconds))
    }
    assert.notEqual((await post(`${gateway.url}/api/jobs`, jobOf(), newCaller())).status, 429)
    for (const path of ['/health', '/api/v1/ips?container=echo', '/stats', '/info', '/api/jobs']) {
      assert.equal((await request(`${gateway.url}${path}`, from)).status, 200, path)
    }
  })
})
