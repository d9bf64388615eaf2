import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf, statusReport } from '../../kit/builders/jobs.ts'
import { openStream, post, request } from '../../kit/http.ts'
import type { Answer } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { eventually } from '../../kit/wait.ts'
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

describe('a caller’s limits', async () => {
  const env = { PROXY_RATELIMIT_REQS_PER_MIN: '12', MAX_JOBS_PER_CALLER: '2' }
  const gateway = await gatewayFor(file, [node], env)
  let callers = 0
  const newCaller = (): { localAddress: string } => ({ localAddress: `127.0.3.${++callers}` })

  test('PROXY_RATELIMIT_REQS_PER_MIN counts all forwarded calls together, and each caller alone', async () => {
    const from = newCaller()
    const send = (i: number): Promise<Answer> =>
      i % 3 === 0
        ? post(`${gateway.url}/api/jobs`, jobOf({}, []), from)
        : request(`${gateway.url}${i % 3 === 1 ? '/api/jobs' : '/info'}`, from)
    for (let i = 0; i < 12; i++) assert.notEqual((await send(i)).status, 429)
    for (let i = 0; i < 3; i++) {
      const answer = await send(i)
      assertError(answer, 429)
      const seconds = Number(answer.headers['retry-after'])
      assert.ok(seconds >= 1 && seconds <= 60, String(seconds))
    }
    assert.equal((await request(`${gateway.url}/info`, newCaller())).status, 200)
    for (const path of ['/health', '/api/v1/ips?container=echo', '/stats']) {
      assert.equal((await request(`${gateway.url}${path}`, from)).status, 200, path)
    }
  })

  test('MAX_JOBS_PER_CALLER counts what is unfinished: one more is a 429, until one has ended', async () => {
    const from = newCaller()
    const submit = (data: object): Promise<Answer> => post(`${gateway.url}/api/jobs`, jobOf(data), from)
    assert.equal((await submit({ seconds: 600 })).status, 200)
    const { id } = (await submit({ seconds: 1.5 })).json<{ id: string }>()
    const seen = node.seen('submit').length
    const refused = await submit({})
    assertError(refused, 429)
    assert.ok(Number(refused.headers['retry-after']) >= 1)
    assert.equal(node.seen('submit').length, seen)
    assert.equal((await post(`${gateway.url}/api/jobs`, jobOf(), newCaller())).status, 200)
    const hasEnded = async (): Promise<boolean> =>
      (await request(`${gateway.url}/api/jobs?id=${id}`, from)).text.includes('success')
    await eventually(hasEnded, { everyMs: 1000, withinMs: 10_000 })
    assert.equal((await submit({})).status, 200)
  })

  test('streams are jobs too, for as long as their client is there', async () => {
    const from = newCaller()
    const url = `${gateway.url}/api/jobs/stream`
    const open = async (): Promise<Awaited<ReturnType<typeof openStream>>> => {
      const stream = await openStream(url, { body: jobOf({ pieces: 1000, pieceMs: 50 }), ...from })
      assert.equal(stream.status, 200)
      return stream
    }
    const [first] = [await open(), await open()]
    assertError(await post(url, jobOf(), from), 429)
    assertError(await post(`${gateway.url}/api/jobs`, jobOf(), from), 429)
    first.destroy()
    await eventually(async () => (await post(`${gateway.url}/api/jobs`, jobOf(), from)).status === 200, {
      everyMs: 700,
    })
  })

  test('a job that was refused, or went nowhere, counts for nothing', async () => {
    const from = newCaller()
    for (let i = 0; i < 3; i++) {
      await node.answer(500, 'submit', { times: 1 })
      assert.equal((await post(`${gateway.url}/api/jobs`, jobOf(), from)).status, 500)
      assert.equal((await post(`${gateway.url}/api/jobs`, jobOf({}, ['none']), from)).status, 503)
    }
    assert.equal((await post(`${gateway.url}/api/jobs`, jobOf(), from)).status, 200)
  })
})

describe('PUT /api/status', async () => {
  const gateway = await gatewayFor(file, [node], { STATUS_ALLOWED_IPS: '127.0.0.51,10.0.0.0/8' })
  const allowed = { localAddress: '127.0.0.51' }
  const stranger = { localAddress: '127.0.0.52' }
  const put = (body: object | string, from: { localAddress: string }, headers = {}): Promise<Answer> =>
    request(`${gateway.url}/api/status`, { method: 'PUT', body, headers, ...from })

  test('from anyone not in STATUS_ALLOWED_IPS is a 403 in a node’s words, forged addresses or not', async () => {
    const { id } = (await post(`${gateway.url}/api/jobs`, jobOf({ seconds: 600 }))).json<{ id: string }>()
    for (const headers of [{}, { 'X-Forwarded-For': '127.0.0.51' }, { 'X-Real-IP': '127.0.0.51' }]) {
      const answer = await put(statusReport(id, 'success'), stranger, headers)
      assert.deepEqual([answer.status, answer.text], [403, '{"error":"Unauthorized"}'])
    }
    assert.deepEqual(node.seen('status'), [])
    assert.match((await request(`${gateway.url}/api/jobs?id=${id}`)).text, /"running"/)
  })

  test('for an unknown id is a 404', async () => {
    assertError(await put(statusReport('nobodys', 'success'), allowed), 404)
    assert.deepEqual(node.seen('status'), [])
  })

  test('that is not of the shape is a 400', async () => {
    const { id } = (await post(`${gateway.url}/api/jobs`, jobOf())).json<{ id: string }>()
    const wrong = ['', '[]', '{}', '{"id":1,"status":"success","containers":[]}', `{"id":"${id}","status":"success"}`]
    for (const body of wrong) assertError(await put(body, allowed), 400)
  })

  test('goes to the job’s node, and its client hears of it', async () => {
    const { id } = (await post(`${gateway.url}/api/jobs`, jobOf({ seconds: 600 }))).json<{ id: string }>()
    const answer = await put(statusReport(id, 'failed'), allowed)
    assert.deepEqual([answer.status, answer.text], [200, 'null\n'])
    assert.equal(node.seen('status').at(-1)!.json<{ id: string }>().id, id)
    await eventually(async () => (await request(`${gateway.url}/api/jobs?id=${id}`)).text.includes('"failed"'))
  })

  test('with a state that no node knows passes on what the node says', async () => {
    const { id } = (await post(`${gateway.url}/api/jobs`, jobOf())).json<{ id: string }>()
    assert.equal(assertError(await put(statusReport(id, 'odd'), allowed), 400), 'Status is invalid')
  })
})

test('by default PUT /api/status is for the gateway’s own host', async (t) => {
  const gateway = await gatewayFor(t, [node])
  const body = statusReport('nobodys', 'success')
  const put = (localAddress: string): Promise<Answer> =>
    request(`${gateway.url}/api/status`, { method: 'PUT', body, localAddress })
  assertError(await put('127.0.0.1'), 404)
  assertError(await put('127.0.0.2'), 403)
})
