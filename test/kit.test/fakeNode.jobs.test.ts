import assert from 'node:assert/strict'
import { test } from 'node:test'
import { jobOf, statusReport } from '../kit/builders/jobs.ts'
import { post, request } from '../kit/http.ts'
import type { RequestOptions } from '../kit/http.ts'
import { startFakeNode } from '../kit/fakeNode/index.ts'
import type { FakeNode } from '../kit/fakeNode/index.ts'

const JSON_TYPE = { 'Content-Type': 'application/json' }

interface Job {
  id: string
  status: string
  result: { container: string; output?: unknown; error?: string } | null
  intermediate_results?: unknown[]
}

async function submit(node: FakeNode, data: object, more: object = {}, options: RequestOptions = {}): Promise<string> {
  const answer = await post(`${node.url}/api/jobs`, { containers: ['echo'], data, ...more }, options)
  assert.equal(answer.status, 200, answer.text)
  return answer.json<{ id: string }>().id
}

async function look(node: FakeNode, query: string, options: RequestOptions = {}): Promise<Job[]> {
  return (await request(`${node.url}/api/jobs?${query}`, options)).json<Job[]>()
}

async function list(node: FakeNode, query = '', options: RequestOptions = {}): Promise<string[]> {
  return (await request(`${node.url}/api/jobs${query}`, options)).json<string[]>()
}

test('a job is known as running from its answer on, and then finished with its own input', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  const ended = node.next('jobEnded')
  const id = await submit(node, { seconds: 0.5, mark: 'x' })
  assert.deepEqual(await look(node, `id=${id}`), [{ id, result: null, status: 'running' }])
  await ended
  const output = { echo: { seconds: 0.5, mark: 'x' }, container: 'echo' }
  assert.deepEqual(await look(node, `id=${id}`), [{ id, result: { container: 'echo', output }, status: 'success' }])
})

test('bytes of the input come back in the output as they went in', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  const data =
    '{ "n": 1.0, "big":123456789012345678901234567890,"nan":NaN,\n"s":"\\u00e9é\\"}","e":1E-7, "l":[{"]":[]}]}'
  const ended = node.next('jobEnded')
  await post(`${node.url}/api/jobs`, `{"data":${data},"containers":["echo"],"id":"b"}`, { headers: JSON_TYPE })
  await ended
  const { text } = await request(`${node.url}/api/jobs?id=b`)
  assert.equal(
    text,
    `[{"id":"b","result":{"container":"echo","output":{"echo":${data},"container":"echo"}},"status":"success"}]\n`,
  )
})

test('an output can be given byte for byte', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  const ended = node.next('jobEnded')
  const body = '{"containers":["echo"],"id":"b","data":{"output": {"x":-Infinity , "y":1e400}}}'
  await post(`${node.url}/api/jobs`, body, { headers: JSON_TYPE })
  await ended
  assert.match((await request(`${node.url}/api/jobs?id=b`)).text, /"output":{"x":-Infinity , "y":1e400}},"status"/)
})

test('finished jobs are listed before running ones, each in the order asked, unknown ones left out', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  const running = await submit(node, { seconds: 10 })
  const ended = node.next('jobEnded')
  const finished = await submit(node, {})
  await ended
  const jobs = await look(node, `id=${running}&id=nobody&id=${finished}&id=${finished}`)
  assert.deepEqual(
    jobs.map((job) => job.id),
    [finished, finished, running],
  )
})

test('a pipeline hands each output to the next container; intermediate results are shown only for exactly true', async (t) => {
  const node = await startFakeNode({ containers: ['echo', { id: 'inner', external: false }], rateLimit: 0 }, t)
  const ended = node.next('jobEnded')
  const id = await submit(node, { a: 1 }, { containers: ['echo', 'inner'] })
  await ended
  const first = { container: 'echo', output: { echo: { a: 1 }, container: 'echo' } }
  const second = { container: 'inner', output: { echo: first.output, container: 'inner' } }
  const [job] = await look(node, `id=${id}&intermediate=true`)
  assert.deepEqual(job, { id, intermediate_results: [first], result: second, status: 'success' })
  assert.equal('intermediate_results' in (await look(node, `id=${id}&intermediate=True`))[0]!, false)
})

test('a failing container fails the job, and a dead one too', async (t) => {
  const node = await startFakeNode({ containers: ['echo', { id: 'dead', dead: true }], rateLimit: 0 }, t)
  let ended = node.next('jobEnded')
  const broken = await submit(node, { fail: 'out of memory' })
  await ended
  ended = node.next('jobEnded')
  const unreachable = await submit(node, {}, { containers: ['dead'] })
  await ended
  const [first, second] = await look(node, `id=${broken}&id=${unreachable}`)
  assert.deepEqual([first?.status, first?.result], ['failed', { container: 'echo', error: 'out of memory' }])
  assert.match(second?.result?.error ?? '', /^Cannot connect to host/)
})

test('jobs belong to the TCP peer, whatever the headers say', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  const id = await submit(node, { seconds: 5 }, {}, { localAddress: '127.0.0.2' })
  assert.deepEqual(await look(node, `id=${id}`), [])
  assert.deepEqual(await list(node, '', { headers: { 'X-Forwarded-For': '127.0.0.2' } }), [])
  assert.deepEqual(await list(node, '', { localAddress: '127.0.0.2' }), [id])
})

test('id and ip in the body win: another caller can overwrite a job and hide its own', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  let ended = node.next('jobEnded')
  const id = await submit(node, { good: 1 })
  await ended
  ended = node.next('jobEnded')
  await submit(node, { output: 'evil' }, { id, ip: '127.0.0.1' }, { localAddress: '127.0.0.3' })
  await ended
  assert.equal((await look(node, `id=${id}`))[0]?.result?.output, 'evil')
  assert.deepEqual(await list(node, '', { localAddress: '127.0.0.3' }), [])
})

test('ids are listed whole, or only of running or finished jobs', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  const running = await submit(node, { seconds: 10 })
  const ended = node.next('jobEnded')
  const finished = await submit(node, {})
  await ended
  assert.deepEqual(await list(node), [running, finished])
  assert.deepEqual(await list(node, '?pending=true'), [running])
  assert.deepEqual(await list(node, '?pending=false'), [finished])
})

test('only so many jobs run at once; all unfinished ones count as pending', async (t) => {
  const node = await startFakeNode({ concurrency: 2, rateLimit: 0 }, t)
  for (let i = 0; i < 5; i++) await submit(node, { seconds: 10 })
  assert.deepEqual(node.load, { pending: 5, running: 2, waiting: 3 })
  const info = (await request(`${node.url}/info`)).json<{ pending: object }>()
  assert.deepEqual(info.pending, { offchain: 5, onchain: 0 })
})

test('a job takes its service time, times the slowness of the node and of its container', async (t) => {
  const containers = [{ id: 'echo', slowness: 2.5 }]
  const node = await startFakeNode({ speed: 0.02, slowness: 2, containers, rateLimit: 0 }, t)
  const ended = node.next('jobEnded')
  await submit(node, {})
  const { startedAt, endedAt } = await ended
  const tookMs = endedAt! - startedAt!
  assert.ok(tookMs >= 99, `${tookMs} ms`)
})

test('a job longer than the limit fails with an empty error', async (t) => {
  const node = await startFakeNode({ jobLimit: 0.02, rateLimit: 0 }, t)
  const ended = node.next('jobEnded')
  const id = await submit(node, { seconds: 10 })
  await ended
  assert.deepEqual((await look(node, `id=${id}`))[0]?.result, { container: 'echo', error: '' })
})

test('forgetting drops unfinished jobs for good and keeps finished ones', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  const running = await submit(node, { seconds: 0.6 })
  const ended = node.next('jobEnded')
  const finished = await submit(node, {})
  await ended
  await node.forget()
  assert.deepEqual(await list(node), [finished])
  await assert.rejects(node.next('jobEnded', ({ id }) => id === running, 900))
  assert.deepEqual(node.load, { pending: 0, running: 0, waiting: 0 })
  await node.forget({ finished: true })
  assert.deepEqual(await list(node), [])
})

test('a record expires while its job still runs; when the job ends, it is known again', async (t) => {
  const node = await startFakeNode({ pendingTtl: 0.02, rateLimit: 0 }, t)
  const ended = node.next('jobEnded')
  const id = await submit(node, { seconds: 1.5 })
  await new Promise((resolve) => setTimeout(resolve, 40))
  assert.deepEqual(await look(node, `id=${id}`), [])
  assert.equal(node.load.pending, 0)
  await ended
  assert.equal((await look(node, `id=${id}`))[0]?.status, 'success')
})

test('a status may be set from loopback and home networks only', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  const body = statusReport('s', 'failed')
  const put = (localAddress: string): Promise<{ status: number; text: string }> =>
    request(`${node.url}/api/status`, { method: 'PUT', body, localAddress })
  const refused = await put('127.0.0.2')
  assert.deepEqual([refused.status, refused.text], [403, '{"error":"Unauthorized"}\n'])
  assert.equal((await put('127.0.0.1')).status, 200)
  assert.deepEqual(await look(node, 'id=s'), [{ id: 's', result: null, status: 'failed' }])
})

test('a node whose store is gone takes jobs and loses them', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  await node.set({ storeDown: true })
  const id = await submit(node, {})
  assert.equal((await request(`${node.url}/health`)).status, 200)
  assert.equal((await request(`${node.url}/info`)).status, 500)
  await node.set({ storeDown: false })
  assert.deepEqual(await look(node, `id=${id}`), [])
})

test('a body over the limit is a 500', async (t) => {
  const node = await startFakeNode({ maxBody: 1000, rateLimit: 0 }, t)
  const answer = await post(`${node.url}/api/jobs`, jobOf({ pad: 'x'.repeat(1000) }))
  assert.equal(answer.status, 500)
  assert.match(answer.text, /413 Request Entity Too Large/)
})

test('of finished jobs about the last so many are remembered', async (t) => {
  const node = await startFakeNode({ keepFinished: 4, rateLimit: 0 }, t)
  for (const id of ['a', 'b', 'c', 'd', 'e', 'f']) {
    await submit(node, {}, { id })
    await node.ended(id)
  }
  assert.deepEqual(await list(node), ['c', 'd', 'e', 'f'])
})
