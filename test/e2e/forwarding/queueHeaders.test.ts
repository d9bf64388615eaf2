/** `X-Queue-Ms` on answers, and `X-Priority` on requests. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { entryOf, startGateway } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { post, request } from '../../kit/http.ts'
import { chat } from '../openai/support.ts'

const file = { after }
const [node, service] = await Promise.all([
  startFakeNode({ rateLimit: 0, chain: true }, file),
  startFakeOpenAi({}, file),
])
const gateway = await startGateway(file, {
  nodes: [node],
  services: [entryOf(service)],
  env: { REFRESH_INTERVAL: '60', CORS_ORIGINS: 'https://app.example' },
})

const CALLS: [string, object][] = [
  ['/api/jobs', jobOf()],
  ['/api/jobs/batch', [jobOf(), jobOf()]],
  ['/api/jobs/stream', jobOf()],
  ['/v1/chat/completions', chat()],
  ['/v1/chat/completions', chat({ stream: true })],
]

describe('X-Queue-Ms', () => {
  test('is 0 on every forwarded answer to a request that found a place at once, whatever the backend says', async () => {
    for (const [path, body] of CALLS) {
      const answer = await post(gateway.url + path, body)
      assert.deepEqual([path, answer.status, answer.headers['x-queue-ms']], [path, 200, '0'])
    }
    for (const status of [200, 400]) {
      await service.misbehave({ act: 'answer', status, body: '{}', headers: { 'X-Queue-Ms': '77' } }, 'chat', 1)
      const answer = await post(`${gateway.url}/v1/chat/completions`, chat())
      assert.deepEqual([answer.status, answer.headers['x-queue-ms']], [status, '0'])
    }
  })

  test('is on no answer that the gateway gave by itself', async () => {
    for (const path of ['/info', '/health', '/v1/models']) {
      assert.equal((await request(gateway.url + path)).headers['x-queue-ms'], undefined, path)
    }
  })

  test('may be read by pages of other origins', async () => {
    const answer = await post(`${gateway.url}/v1/chat/completions`, chat(), {
      headers: { Origin: 'https://app.example' },
    })
    assert.match(String(answer.headers['access-control-expose-headers']), /X-Queue-Ms/)
  })

  test('tells of a wait for a backend that never came back, too', async () => {
    await Promise.all([node.refuse(), service.refuse()])
    try {
      const answers = await Promise.all(CALLS.map(([path, body]) => post(gateway.url + path, body)))
      for (const { path, status, headers } of answers) {
        assert.ok(status === 502 || status === 503, `${path}: ${status}`)
        // OUTAGE_WAIT is 2.
        const ms = Number(headers['x-queue-ms'])
        assert.ok(ms >= 1900 && ms < 20_000, `${path}: ${ms}`)
      }
    } finally {
      await Promise.all([node.comeBack(), service.comeBack()])
      await gateway.ready(2, 20_000)
    }
  })
})

describe('X-Priority', () => {
  test('is for the gateway alone: no backend sees it', async () => {
    for (const [path, body] of CALLS) {
      assert.equal((await post(gateway.url + path, body, { headers: { 'X-Priority': 'LOW' } })).status, 200, path)
    }
    const seen = [...node.seen('submit'), ...node.seen('batch'), ...node.seen('stream'), ...service.seen('chat')]
    assert.deepEqual([...new Set(seen.map((one) => one.header('x-priority')))], [undefined])
  })

  test('that does not exist is a 400 in the shape of its path', async () => {
    for (const [path, body] of CALLS) {
      const answer = await post(gateway.url + path, body, { headers: { 'X-Priority': 'urgent' } })
      assert.equal(answer.status, 400)
      assert.match(answer.text, /X-Priority must be one of high, normal, low/)
      const { error } = answer.json<{ error: unknown }>()
      assert.equal(typeof error, path.startsWith('/v1/') ? 'object' : 'string')
    }
  })
})
