import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { jobOf } from '../../kit/builders/jobs.ts'
import { spawnGateway } from '../../kit/gateway.ts'
import { openStream, post, request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { assertError } from '../support.ts'

describe('before the first poll of any node has ended', { concurrency: 2 }, () => {
  test('requests wait for it', async (t) => {
    const node = await startFakeNode({ rateLimit: 0 }, t)
    await node.late(0.8, 'info')
    const gateway = await spawnGateway(t, { nodes: [node.address] })
    const [submitted, streamed, batch, info] = await Promise.all([
      post(`${gateway.url}/api/jobs`, jobOf()),
      openStream(`${gateway.url}/api/jobs/stream`, { body: jobOf() }),
      post(`${gateway.url}/api/jobs/batch`, [jobOf()]),
      request(`${gateway.url}/info`),
    ])
    for (const { status } of [submitted, streamed, batch, info]) assert.equal(status, 200)
    assert.match(info.text, /"echo"/)
  })

  test('but no longer than three seconds: then it is a 503', async (t) => {
    const node = await startFakeNode({ rateLimit: 0 }, t)
    await node.hang('info')
    const gateway = await spawnGateway(t, { nodes: [node.address] })
    const startMs = performance.now()
    const answers = await Promise.all([
      post(`${gateway.url}/api/jobs`, jobOf()),
      post(`${gateway.url}/api/jobs/stream`, jobOf()),
    ])
    const tookMs = performance.now() - startMs
    for (const answer of answers) {
      assertError(answer, 503)
      assert.ok(Number(answer.headers['retry-after']) >= 1)
    }
    assert.ok(tookMs > 1500 && tookMs < 8000, `${tookMs} ms`)
    assert.deepEqual(node.seen('submit'), [])
  })
})

describe('nobody waits', { concurrency: 2 }, () => {
  test('for other nodes, once one is healthy', async (t) => {
    const [node, silent] = await Promise.all([startFakeNode({ rateLimit: 0 }, t), startFakeNode({ rateLimit: 0 }, t)])
    await silent.hang('info')
    const gateway = await spawnGateway(t, { nodes: [silent.address, node.address] })
    const answer = await post(`${gateway.url}/api/jobs`, jobOf())
    assert.equal(answer.status, 200)
    assert.equal(answer.headers['x-infernet-node'], node.address)
  })

  test('where there is no node to wait for', async (t) => {
    const gateway = await spawnGateway(t)
    // The list itself has to be read first.
    await gateway.waitForLog((line) => line.message === 'addresses file read')
    const startMs = performance.now()
    assertError(await post(`${gateway.url}/api/jobs`, jobOf()), 503)
    assert.ok(performance.now() - startMs < 2500)
  })
})
