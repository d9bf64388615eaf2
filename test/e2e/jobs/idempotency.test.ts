/** Idempotency-Key: the same key is the same job. */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { assertError } from '../support.ts'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { post } from '../../kit/http.ts'
import type { Answer } from '../../kit/http.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import type { LocalFakeNode } from '../../kit/fakeNode/index.ts'
import { afterSuite, assertEchoed, ended, listed, runsOn, startNodes, submitTo } from './support.ts'

let lastKey = 0
function newKey(): Record<string, string> {
  return { 'Idempotency-Key': `key-${++lastKey}` }
}

describe('an Idempotency-Key', () => {
  const cleanup = afterSuite()
  let gateway: Gateway
  let nodes: LocalFakeNode[]

  const runs = (): Promise<number> => runsOn(nodes)

  before(async () => {
    nodes = await startNodes(cleanup, 2)
    gateway = await gatewayFor(cleanup, nodes)
  })

  test('gives the same answer again, and the job runs once', async () => {
    const headers = newKey()
    const before = await runs()
    const first = await submitTo(gateway, jobOf({ a: 1 }), { headers })
    const { id } = first.json<{ id: string }>()
    const second = await submitTo(gateway, jobOf({ a: 1 }), { headers })
    await ended(gateway, [id])
    const third = await submitTo(gateway, jobOf({ a: 1 }), { headers })
    for (const again of [second, third]) {
      assert.equal(again.status, 200)
      assert.deepEqual(again.body, first.body)
      assert.equal(again.headers['content-type'], first.headers['content-type'])
      assert.equal(again.headers['x-infernet-node'], first.headers['x-infernet-node'])
    }
    assert.equal(await runs(), before + 1)
  })

  test('gives it also to requests that come while the first is under way', async () => {
    const headers = newKey()
    const before = await runs()
    for (const node of nodes) await node.late(0.5, 'submit', { runs: false })
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => submitTo(gateway, jobOf({ b: 1 }), { headers, from: '127.0.0.7' })),
    )
    for (const node of nodes) await node.behave()
    assert.equal(new Set(answers.map(({ text }) => text)).size, 1)
    assert.equal(await runs(), before + 1)
    assert.equal((await listed(gateway, '', { from: '127.0.0.7' })).length, 1)
  })

  test('with other bytes in the body is 422, in parallel too', async () => {
    const headers = newKey()
    await submitTo(gateway, jobOf({ c: 1 }), { headers })
    assertError(await submitTo(gateway, jobOf({ c: 2 }), { headers }), 422)
    // The same job in other bytes.
    assertError(await submitTo(gateway, '{"containers": ["echo"], "data": {"c": 1}}', { headers }), 422)
    const parallel = newKey()
    const answers = await Promise.all([1, 2, 3].map((c) => submitTo(gateway, jobOf({ c }), { headers: parallel })))
    assert.deepEqual(answers.map(({ status }) => status).toSorted(), [200, 422, 422])
  })

  test('belongs to its caller and its path, also while others run under it', async () => {
    const headers = newKey()
    const callers = ['127.0.0.5', '127.0.0.6']
    for (const node of nodes) await node.late(0.5, undefined, { runs: false })
    const singles = callers.map((from) => submitTo(gateway, jobOf({}), { headers, from }))
    const batches = callers.map((from) =>
      post(`${gateway.url}/api/jobs/batch`, [jobOf({})], { headers, localAddress: from }),
    )
    const ids = (await Promise.all(singles)).map((answer) => answer.json<{ id: string }>().id)
    ids.push(...(await Promise.all(batches)).map((answer) => answer.json<{ id: string }[]>()[0]!.id))
    for (const node of nodes) await node.behave()
    assert.equal(new Set(ids).size, 4)
    for (const [n, from] of callers.entries()) {
      assert.deepEqual((await listed(gateway, '', { from })).toSorted(), [ids[n]!, ids[n + 2]!].toSorted())
    }
  })

  test('is not used up by a refusal', async () => {
    const headers = newKey()
    assertError(await submitTo(gateway, jobOf({}, ['nowhere']), { headers }), 405)
    for (const node of nodes) await node.pushBack('submit')
    assertError(await submitTo(gateway, jobOf({}), { headers, from: '127.0.0.8' }), 429)
    for (const node of nodes) await node.behave()
    assert.equal((await submitTo(gateway, jobOf({}), { headers })).status, 200)
  })

  test('covers a batch as a whole, the errors of its items included', async () => {
    const headers = newKey()
    const before = await runs()
    const send = (): Promise<Answer> =>
      post(`${gateway.url}/api/jobs/batch`, [jobOf({}), { containers: [] }, jobOf({})], { headers })
    const [first, ...others] = await Promise.all([send(), send(), send()])
    others.push(await send())
    for (const again of others) assert.deepEqual(again.body, first.body)
    assert.equal(await runs(), before + 2)
  })

  test('is 1 to 255 visible ASCII characters', async () => {
    for (const key of ['', ' ', 'a b', 'a\tb', 'ä', 'x'.repeat(256)]) {
      assertError(await submitTo(gateway, jobOf({}), { headers: { 'Idempotency-Key': key } }), 400)
    }
    for (const key of ['!', '~'.repeat(255), '"a,b"']) {
      const answer = await submitTo(gateway, jobOf({}), { headers: { 'Idempotency-Key': key } })
      assert.equal(answer.status, 200, key)
    }
  })

  test('is not for streams', async () => {
    const before = await runs()
    assertError(await post(`${gateway.url}/api/jobs/stream`, jobOf({}), { headers: newKey() }), 400)
    assert.equal(await runs(), before)
  })

  test('never reaches a node', () => {
    for (const node of nodes) {
      for (const request of node.requests) assert.equal(request.header('idempotency-key'), undefined)
    }
  })
})

describe('an Idempotency-Key and failing nodes', { concurrency: 2 }, () => {
  test('lets a job be sent again after a reset; without one that is a 502', async (t) => {
    const nodes = await startNodes(t, 2)
    const gateway = await gatewayFor(t, nodes, { REFRESH_INTERVAL: '60' })
    for (const node of nodes) await node.break('submit', { times: 1 })
    assertError(await submitTo(gateway, jobOf({})), 502)
    await Promise.all(nodes.map((node) => node.behave()))
    await nodes[0]!.break('submit')
    const ids: string[] = []
    for (let n = 0; n < 6; n++) {
      const answer = await submitTo(gateway, jobOf({ n }), { headers: newKey() })
      assert.equal(answer.status, 200, answer.text)
      ids.push(answer.json<{ id: string }>().id)
    }
    const entries = await ended(gateway, ids)
    entries.forEach((entry, n) => assertEchoed(entry, { n }))
  })

  test('stands across a restart, for the same bytes and no others', async (t) => {
    const node = await startFakeNode({ rateLimit: 0 }, t)
    const gateway = await gatewayFor(t, [node], { STATE_URL: 'sqlite:data/gateway.db' })
    const headers = newKey()
    const first = await submitTo(gateway, jobOf({ d: 1 }), { headers })
    await gateway.kill()
    await gateway.restart()
    await gateway.ready(1)
    const again = await submitTo(gateway, jobOf({ d: 1 }), { headers })
    assert.deepEqual(again.body, first.body)
    assertError(await submitTo(gateway, jobOf({ d: 2 }), { headers }), 422)
    assert.equal(await runsOn([node]), 1)
  })
})
