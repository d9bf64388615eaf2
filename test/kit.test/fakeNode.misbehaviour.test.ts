import assert from 'node:assert/strict'
import { Agent } from 'node:http'
import { describe, test } from 'node:test'
import { jobOf } from '../kit/builders/jobs.ts'
import { openRaw, post, request } from '../kit/http.ts'
import { BAD_INFO, startFakeNode } from '../kit/fakeNode/index.ts'
import type { LocalFakeNode } from '../kit/fakeNode/index.ts'

const JOB = jobOf()
const GET_HEALTH = 'GET /health HTTP/1.1\r\nHost: x\r\n\r\n'

const submit = (node: LocalFakeNode): ReturnType<typeof post> => post(`${node.url}/api/jobs`, JOB)

test('a node that refuses breaks open connections and takes no new ones, until it comes back on the same port', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  const idle = await openRaw(node.url, { t })
  idle.send(GET_HEALTH)
  await idle.until((text) => text.endsWith('}\n'))
  await node.refuse()
  await idle.closed()
  await assert.rejects(submit(node), { code: 'ECONNREFUSED' })
  const { port } = node
  await node.comeBack()
  assert.equal(node.port, port)
  assert.equal((await submit(node)).status, 200)
})

test('jobs run on while connections are refused', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  const ended = node.next('jobEnded')
  await post(`${node.url}/api/jobs`, { ...JOB, data: { seconds: 0.05 } })
  await node.refuse()
  assert.equal((await ended).status, 'success')
})

test('an endpoint that hangs takes requests and never answers; the others do', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  await node.hang('info')
  await assert.rejects(request(`${node.url}/info`, { timeoutMs: 100 }), /no answer within 100 ms/)
  assert.equal((await node.waitFor('info')).method, 'GET')
  assert.equal((await request(`${node.url}/health`)).status, 200)
  await node.behave('info')
  assert.equal((await request(`${node.url}/info`)).status, 200)
})

describe('a job whose answer never came', () => {
  for (const [runs, jobs] of [
    [false, 0],
    [true, 1],
  ] as const) {
    test(`has ${runs ? '' : 'not '}started when told so`, async (t) => {
      const node = await startFakeNode({ rateLimit: 0 }, t)
      await node.break('submit', { runs })
      await assert.rejects(submit(node), { code: 'ECONNRESET' })
      assert.equal((await node.jobs()).length, jobs)
    })
  }
})

describe('connections are broken', () => {
  test('as soon as the head of the request is there', async (t) => {
    const node = await startFakeNode({ rateLimit: 0 }, t)
    await node.break('submit', { when: 'request' })
    await assert.rejects(submit(node), { code: 'ECONNRESET' })
    assert.equal(node.seen('submit').length, 0)
  })
  test('before the answer, by an orderly close if told so', async (t) => {
    const node = await startFakeNode({ rateLimit: 0 }, t)
    await node.break('health', { how: 'close' })
    const raw = await openRaw(node.url, { t })
    raw.send(GET_HEALTH)
    assert.equal(await raw.closed(), '')
  })
  test('after the head of the answer', async (t) => {
    const node = await startFakeNode({ rateLimit: 0 }, t)
    await node.break('health', { when: 'head' })
    const raw = await openRaw(node.url, { t })
    raw.send(GET_HEALTH)
    assert.match(await raw.closed(), /^HTTP\/1.1 200 \r\n.*content-length: 21\r\n.*\r\n\r\n$/s)
  })
  test('amid the body of the answer', async (t) => {
    const node = await startFakeNode({ rateLimit: 0 }, t)
    await node.break('submit', { when: 'body' })
    await assert.rejects(submit(node), /aborted|broke off/)
    assert.equal((await node.jobs()).length, 1)
  })
})

test('garbage is no HTTP', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  await node.garbage('health')
  await assert.rejects(request(`${node.url}/health`), { code: /^HPE_/ })
})

test('an answer can be forced for so many requests', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  await node.answer(503, 'submit', { times: 2, body: 'no', contentType: 'text/plain', headers: { 'Retry-After': '7' } })
  const answers = [await submit(node), await submit(node), await submit(node)]
  assert.deepEqual(
    answers.map(({ status }) => status),
    [503, 503, 200],
  )
  assert.deepEqual([answers[0]!.text, answers[0]!.headers['retry-after']], ['no', '7'])
  assert.equal((await node.jobs()).length, 1)
})

test('a push-back names the seconds to wait', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  await node.pushBack('submit', { retryAfter: 3 })
  const { status, headers } = await submit(node)
  assert.deepEqual([status, headers['retry-after']], [429, '3'])
  assert.equal((await request(`${node.url}/health`)).status, 200)
})

test('the newest misdeed wins; behaving ends them all', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  await node.answer(500)
  await node.answer(418, 'health', { times: 1 })
  const ask = async (): Promise<number> => (await request(`${node.url}/health`)).status
  assert.deepEqual([await ask(), await ask()], [418, 500])
  await node.behave()
  assert.equal(await ask(), 200)
})

test('an answer can come late, its job started in time', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  await node.late(0.15, 'submit')
  const sentAt = performance.now()
  const accepted = node.next('jobAccepted').then(() => performance.now() - sentAt)
  assert.equal((await submit(node)).status, 200)
  const waitedMs = performance.now() - sentAt - (await accepted)
  assert.ok(waitedMs >= 100, `${waitedMs} ms`)
})

test('an answer can come byte by byte', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  await node.misbehave({ act: 'drip', seconds: 0.2 }, 'health')
  const sentAt = performance.now()
  assert.deepEqual((await request(`${node.url}/health`)).json(), { status: 'healthy' })
  assert.ok(performance.now() - sentAt >= 150)
})

test('nobody reads from a new connection before its time', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  await node.set({ acceptDelay: 0.1 })
  const sentAt = performance.now()
  assert.equal((await request(`${node.url}/health`)).status, 200)
  assert.ok(performance.now() - sentAt >= 99)
})

describe('nonsense for /info', () => {
  for (const kind of Object.keys(BAD_INFO) as (keyof typeof BAD_INFO)[]) {
    if (kind === 'huge') continue
    test(`may be ${kind}`, async (t) => {
      const node = await startFakeNode({ rateLimit: 0 }, t)
      await node.badInfo(kind)
      const { status, text } = await request(`${node.url}/info`)
      const expected = BAD_INFO[kind]
      assert.equal(status, 'status' in expected ? expected.status : 200)
      assert.equal(text, expected.body)
    })
  }
  test('may be huge, more than anybody should read', async (t) => {
    const node = await startFakeNode({ rateLimit: 0 }, t)
    await node.misbehave({ act: 'huge', bytes: 3_000_001 }, 'info')
    assert.equal((await request(`${node.url}/info`)).body.length, 3_000_003)
  })
})

test('containers, images and the chain can change while it runs', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  await node.set({ containers: [{ id: 'other', image: 'other:2' }], chain: true })
  const info = (await request(`${node.url}/info`)).json<{ containers: object[]; chain: object }>()
  assert.deepEqual(info.containers, [{ description: '', external: true, id: 'other', image: 'other:2' }])
  assert.deepEqual(info.chain, { address: '', enabled: true })
  assert.equal((await submit(node)).status, 405)
})

test('a black hole shows nothing pending, and never works', async (t) => {
  const node = await startFakeNode({ concurrency: 0, rateLimit: 0 }, t)
  await node.set({ shownPending: { offchain: 0 } })
  await submit(node)
  const info = (await request(`${node.url}/info`)).json<{ pending: object }>()
  assert.deepEqual(info.pending, { offchain: 0, onchain: 0 })
  assert.deepEqual(node.load, { pending: 1, running: 0, waiting: 1 })
})

test('idle connections are closed, used or not, and new ones too that say nothing', async (t) => {
  const node = await startFakeNode({ idleTimeout: 0.1, rateLimit: 0 }, t)
  const silent = await openRaw(node.url, { t })
  const used = await openRaw(node.url, { t })
  const since = performance.now()
  used.send(GET_HEALTH)
  await used.until((text) => text.endsWith('}\n'))
  await silent.closed(1000)
  await used.closed(1000)
  assert.ok(performance.now() - since >= 80)
})

test('a connection is closed, unannounced, after so many requests', async (t) => {
  const node = await startFakeNode({ requestsPerConnection: 3, rateLimit: 0 }, t)
  const raw = await openRaw(node.url, { t })
  raw.send(GET_HEALTH.repeat(3))
  const received = await raw.closed(1000)
  assert.equal(received.match(/healthy/g)?.length, 3)
  assert.doesNotMatch(received, /connection: close/i)
})

test('what it saw is recorded: headers as they came, body, address and order', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  const agent = new Agent({ keepAlive: true })
  t.after(() => agent.destroy())
  await post(`${node.url}/api/jobs?x=1`, JOB, { headers: { 'X-Odd': 'Yes' }, localAddress: '127.0.0.2', agent })
  const [seen] = node.seen('submit')
  assert.equal(seen?.url, '/api/jobs?x=1')
  assert.deepEqual(seen.json(), JOB)
  assert.ok(seen.rawHeaders.includes('X-Odd'))
  assert.equal(seen.header('x-odd'), 'Yes')
  assert.equal(seen.remoteAddress, '127.0.0.2')
  assert.equal((await node.counts()).openSockets, 1)
  const second = node.waitFor('submit', { after: seen.n })
  await post(`${node.url}/api/jobs`, JOB, { agent })
  assert.equal((await second).n, 2)
})
