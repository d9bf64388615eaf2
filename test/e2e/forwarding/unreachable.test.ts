import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { openStream, post, request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import type { LocalFakeNode } from '../../kit/fakeNode/index.ts'
import { unconnectable } from '../../kit/unconnectable.ts'
import { assertError, linesOf, statsOf } from '../support.ts'

/** Two nodes of which `first` is preferred, and a gateway that will not poll them again during the test. */
async function preferring(t: TestContext): Promise<{ gateway: Gateway; first: LocalFakeNode; second: LocalFakeNode }> {
  const [first, second] = await Promise.all([startFakeNode({ rateLimit: 0 }, t), startFakeNode({ rateLimit: 0 }, t)])
  await second.set({ shownPending: { offchain: 1000 } })
  const gateway = await gatewayFor(t, [first, second], { REFRESH_INTERVAL: '60', CONNECT_TIMEOUT: '0.3' })
  assert.equal((await post(`${gateway.url}/api/jobs`, jobOf())).headers['x-infernet-node'], first.address)
  return { gateway, first, second }
}

describe('a node that refuses connections', { concurrency: 2 }, () => {
  test('is passed over for the next, for jobs, batches, streams and subscriptions alike', async (t) => {
    const { gateway, first, second } = await preferring(t)
    await Promise.all([first.set({ chain: true }), second.set({ chain: true })])
    await first.refuse()
    const answer = await post(`${gateway.url}/api/jobs`, jobOf(), { headers: { 'X-Request-Id': 'passed-over' } })
    assert.equal(answer.status, 200)
    assert.equal(answer.headers['x-infernet-node'], second.address)
    assert.equal((await statsOf(gateway, first)).error_count, 1)
    // The client saw no failure, so there is none in the log.
    await gateway.waitForLog((line) => line['requestId'] === 'passed-over')
    assert.deepEqual(
      linesOf(gateway, 'passed-over').map((line) => [line.level, line['tries'], line['node']]),
      [['debug', 2, second.address]],
    )
    assert.equal((await post(`${gateway.url}/api/jobs/batch`, [jobOf()])).headers['x-infernet-node'], second.address)
    const open = await openStream(`${gateway.url}/api/jobs/stream`, { body: jobOf() })
    assert.equal(open.headers['x-infernet-node'], second.address)
    assert.equal((await open.ended).complete, true)
    assert.equal((await statsOf(gateway, first)).in_flight, 0)
  })

  for (const path of ['/api/jobs', '/api/jobs/stream', '/api/jobs/batch']) {
    test(`is passed over however many there are, as long as one is left: ${path}`, async (t) => {
      const dead = await Promise.all([0, 1, 2, 3].map(() => startFakeNode({ rateLimit: 0 }, t)))
      const last = await startFakeNode({ rateLimit: 0 }, t)
      await last.set({ shownPending: { offchain: 1000 } })
      const gateway = await gatewayFor(t, [...dead, last], { REFRESH_INTERVAL: '60' })
      await Promise.all(dead.map((node) => node.refuse()))
      const answer = await post(gateway.url + path, path.endsWith('batch') ? [jobOf()] : jobOf())
      assert.equal(answer.status, 200, answer.text)
      assert.equal(answer.headers['x-infernet-node'], last.address)
      const tried = await Promise.all(dead.map(async (node) => (await statsOf(gateway, node)).error_count))
      assert.deepEqual(tried, [1, 1, 1, 1])
    })
  }

  test('is a 502 where there is no other, logged with its address', async (t) => {
    const { gateway, first, second } = await preferring(t)
    await Promise.all([first.refuse(), second.refuse()])
    const headers = { 'X-Request-Id': 'nobody' }
    const submitting = post(`${gateway.url}/api/jobs`, jobOf(), { headers })
    assertError(await post(`${gateway.url}/api/jobs/stream`, jobOf()), 502)
    assertError(await submitting, 502)
    const line = await gateway.waitForLog((one) => one['requestId'] === 'nobody')
    assert.equal(line['fault'], 'ERR_NODE_REFUSED')
    assert.equal(line['tries'], 2)
    assert.ok([first.address, second.address].includes(line['node'] as string))
    for (const node of [first, second]) assert.equal((await statsOf(gateway, node)).in_flight, 0)
  })

  test('is 503 once its polls say so, and serves again when it is back', async (t) => {
    const node = await startFakeNode({ rateLimit: 0 }, t)
    const gateway = await gatewayFor(t, [node], { REFRESH_INTERVAL: '0.2' })
    await node.refuse()
    await gateway.waitForLog((line) => line.message === 'node down')
    const answer = await post(`${gateway.url}/api/jobs`, jobOf())
    assert.equal(assertError(answer, 503), 'No healthy node runs echo')
    assert.ok(Number(answer.headers['retry-after']) >= 1)
    assert.equal((await request(`${gateway.url}/health`)).status, 503)
    await node.comeBack()
    await gateway.ready(1)
    assert.equal((await post(`${gateway.url}/api/jobs`, jobOf())).status, 200)
  })
})

describe('a node that takes no connection', { concurrency: 2 }, () => {
  test('is passed over for the next after CONNECT_TIMEOUT', async (t) => {
    const { gateway, first, second } = await preferring(t)
    await first.refuse()
    await unconnectable(t, first.port)
    const startMs = performance.now()
    const answer = await post(`${gateway.url}/api/jobs`, jobOf())
    assert.equal(answer.status, 200)
    assert.equal(answer.headers['x-infernet-node'], second.address)
    const tookMs = performance.now() - startMs
    assert.ok(tookMs > 250, `${tookMs} ms`)
    assert.equal((await statsOf(gateway, first)).error_count, 1)
  })

  test('is a 502 where there is no other', async (t) => {
    const { gateway, first, second } = await preferring(t)
    await Promise.all([first.refuse(), second.refuse()])
    await unconnectable(t, first.port)
    const headers = { 'X-Request-Id': 'hole' }
    assertError(await post(`${gateway.url}/api/jobs`, jobOf(), { headers }), 502)
    const line = await gateway.waitForLog((one) => one['requestId'] === 'hole')
    assert.equal(line['fault'], 'ERR_NODE_REFUSED')
    assert.equal((await statsOf(gateway, first)).in_flight, 0)
  })
})
