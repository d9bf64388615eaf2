/** What the log tells of requests and jobs. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { Agent } from 'node:http'
import { after, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { startGateway } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { post, request, type Answer, type RequestOptions } from '../../kit/http.ts'
import type { LogLine } from '../../kit/gateway.ts'

const file = { after }
const KEY = 'a-key-of-a-client'
const CALLER = `key:${createHash('sha256').update(KEY).digest('hex').slice(0, 16)}`
const node = await startFakeNode({ rateLimit: 0, containers: ['echo', 'other'] }, file)
const service = await startFakeOpenAi({ models: ['m1'] }, file)
const gateway = await startGateway(file, {
  nodes: [node],
  services: [{ name: 'chat', url: service.url }],
  env: { ACCESS_LOG: 'all', LOG_LEVEL: 'info', API_KEYS: KEY },
})

/** Sends a request, and waits for its line. */
async function lineOf(path: string, options: RequestOptions): Promise<{ answer: Answer; line: LogLine }> {
  const answer = await request(gateway.url + path, {
    ...options,
    headers: { Authorization: `Bearer ${KEY}`, 'Content-Type': 'application/json', ...options.headers },
  })
  const line = await gateway.waitForLog(({ requestId }) => requestId === answer.headers['x-request-id'])
  return { answer, line }
}

const posted = (body: Buffer | object): RequestOptions => ({ method: 'POST', body })

describe('the line of a request', () => {
  test('has who asked, its job, the backend, tries, bytes and times', async () => {
    const body = JSON.stringify(jobOf({ n: 1 }))
    await node.late(0.2, 'submit', { times: 1 })
    const { answer, line } = await lineOf('/api/jobs', posted(Buffer.from(body)))
    const { time, requestId, ms, firstByteMs, queueMs, serviceMs, bytesOut, ...others } = line
    assert.deepEqual(others, {
      level: 'info',
      message: 'request',
      method: 'POST',
      route: '/api/jobs',
      status: 200,
      client: '127.0.0.1',
      caller: CALLER,
      job: answer.json<{ id: string }>().id,
      node: node.address,
      tries: 1,
      bytesIn: body.length,
    })
    assert.ok(time !== undefined && requestId !== undefined)
    assert.ok(Number(serviceMs) >= 199 && Number(firstByteMs) >= 199 && Number(ms) >= Number(serviceMs), line.message)
    assert.ok(Number(queueMs) >= 0 && Number(queueMs) <= Number(ms) - Number(serviceMs) + 0.1)
    assert.ok(Number(bytesOut) > answer.body.length)
    assert.ok(!gateway.output.includes(KEY))
  })

  test('has the model, and the time of a streamed answer to its end', async () => {
    const body = { model: 'm1', stream: true, messages: [{ role: 'user', content: 'a few words to say again' }] }
    const { answer, line } = await lineOf('/v1/chat/completions', posted(body))
    assert.equal(answer.status, 200)
    assert.deepEqual([line['model'], line['node'], line['tries']], ['m1', 'chat', 1])
    assert.ok(Number(line['serviceMs']) >= Number(line['firstByteMs']))
    assert.ok(Number(line['bytesOut']) > answer.body.length)
  })

  test('counts the bytes of a body as they came, before they are unpacked', async () => {
    const packed = gzipSync(JSON.stringify(jobOf({ text: 'x'.repeat(10_000) })))
    const { line } = await lineOf('/api/jobs', { ...posted(packed), headers: { 'Content-Encoding': 'gzip' } })
    assert.deepEqual([line['status'], line['bytesIn']], [200, packed.length])
  })

  test('counts the bytes of its own answer alone on a connection that stays open', async (t) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    t.after(() => agent.destroy())
    const first = await lineOf('/livez', { agent })
    const second = await lineOf('/livez', { agent })
    assert.equal(first.line['bytesOut'], second.line['bytesOut'])
  })

  test('of a batch has the jobs that were made, and the calls to nodes', async () => {
    const items = [jobOf({ n: 1 }), jobOf({ n: 2 }), jobOf({}, ['nowhere'])]
    const { answer, line } = await lineOf('/api/jobs/batch', posted(items))
    const ids = answer.json<{ id?: string }[]>().flatMap(({ id }) => id ?? [])
    assert.deepEqual([line['jobs'], line['jobIds'], line['tries']], [2, ids, 1])
    assert.ok(Number(line['serviceMs']) > 0 && Number(line['queueMs']) >= 0)
  })

  test('of a stream has its job', async () => {
    const { answer, line } = await lineOf('/api/jobs/stream', posted(jobOf({ pieces: 2 })))
    assert.equal(line['job'], answer.text.split('\n', 1)[0])
  })

  test('of an answer that is repeated under its Idempotency-Key has the job', async () => {
    const once = { ...posted(jobOf()), headers: { 'Idempotency-Key': 'only-once' } }
    const first = await lineOf('/api/jobs', once)
    const again = await lineOf('/api/jobs', once)
    assert.equal(again.answer.headers['idempotent-replayed'], 'true')
    assert.equal(again.line['job'], first.line['job'])
    assert.equal(again.line['tries'], undefined)
  })

  test('of a question about one job has it, and no query', async () => {
    const { answer } = await lineOf('/api/jobs', posted(jobOf()))
    const { id } = answer.json<{ id: string }>()
    const { line } = await lineOf(`/api/jobs?id=${id}&secret=in-the-query`, {})
    assert.equal(line['job'], id)
    assert.ok(!gateway.output.includes('in-the-query'))
  })

  test('of a backend that refused it says so', async () => {
    await service.misbehave({ act: 'answer', status: 422, body: '{}' }, 'chat', 1)
    const { answer, line } = await lineOf('/v1/chat/completions', posted({ model: 'm1', messages: [] }))
    assert.equal(answer.status, 422)
    assert.deepEqual([line.level, line.message, line['node']], ['info', 'node refused the request', 'chat'])
  })
})

test('a job that failed is a warning with its reason', async () => {
  const headers = { Authorization: `Bearer ${KEY}` }
  const { id } = (
    await post(`${gateway.url}/api/jobs`, jobOf({ fail: 'no "luck"' }, ['echo', 'other']), { headers })
  ).json<{ id: string }>()
  const line = await gateway.waitForLog(({ message, job }) => message === 'job failed' && job === id)
  const { time, seconds, ...others } = line
  assert.deepEqual(others, {
    level: 'warn',
    message: 'job failed',
    job: id,
    node: node.address,
    caller: CALLER,
    containers: 'echo,other',
    runs: 1,
    reason: 'no "luck"',
  })
  assert.ok(time !== undefined && Number(seconds) >= 0)
})
