/** Idempotency-Keys count over all replicas. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { jobOf } from '../../kit/builders/jobs.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { redisMissing } from '../../kit/redisServer.ts'
import { listed, submitTo } from '../jobs/support.ts'
import { runsOf, SHORT_TIMEOUT, startReplicas } from './support.ts'

const headersOf = (key: string): Record<string, string> => ({ 'Idempotency-Key': key })

describe('an Idempotency-Key', { skip: redisMissing }, () => {
  test('is one job, whichever replicas get it at the same time', async (t) => {
    const node = await startFakeNode({ rateLimit: 0, concurrency: 50 }, t)
    const { gateways } = await startReplicas(t, { nodes: [node] })
    await node.late(0.2, 'submit')
    const keys = Array.from({ length: 20 }, (_, n) => `key-${n}`)
    const answers = await Promise.all(
      keys.map((key) =>
        Promise.all(gateways.map((gateway) => submitTo(gateway, jobOf({ token: key }), { headers: headersOf(key) }))),
      ),
    )
    for (const [n, [one, other]] of answers.entries()) {
      assert.equal(one!.status, 200, one!.text)
      assert.equal(one!.text, other!.text)
      assert.equal(runsOf([node], keys[n]!), 1)
    }
    assert.equal((await listed(gateways[0]!)).length, keys.length)
  })

  test('gives its answer at all replicas later, and refuses another body', async (t) => {
    const node = await startFakeNode({ rateLimit: 0 }, t)
    const { gateways } = await startReplicas(t, { nodes: [node] })
    const [one, other] = gateways
    const headers = headersOf('later')
    const first = await submitTo(one!, jobOf({ token: 'later' }), { headers })
    const again = await submitTo(other!, jobOf({ token: 'later' }), { headers })
    assert.deepEqual([again.status, again.text], [200, first.text])
    assert.equal((await submitTo(other!, jobOf({ token: 'else' }), { headers })).status, 422)
    assert.equal(runsOf([node], 'later'), 1)
  })

  test('of a request that is under way refuses another body', async (t) => {
    const node = await startFakeNode({ rateLimit: 0 }, t)
    const { gateways } = await startReplicas(t, { nodes: [node] })
    const [one, other] = gateways
    const headers = headersOf('busy')
    await node.late(3, 'submit')
    const first = submitTo(one!, jobOf({ token: 'busy' }), { headers })
    await node.waitFor('submit')
    assert.equal((await submitTo(other!, jobOf({ token: 'else' }), { headers })).status, 422)
    assert.equal((await first).status, 200)
  })

  test('is free again after a refusal', async (t) => {
    const node = await startFakeNode({ rateLimit: 0 }, t)
    const { gateways } = await startReplicas(t, { nodes: [node] })
    const [one, other] = gateways
    const headers = headersOf('refused')
    await node.answer(500, 'submit', { times: 1 })
    assert.equal((await submitTo(one!, jobOf({ token: 'refused' }), { headers })).status, 500)
    assert.equal((await submitTo(other!, jobOf({ token: 'refused' }), { headers })).status, 200)
  })

  test("whose holder is killed amid the submission is another one's to use", async (t) => {
    const node = await startFakeNode({ rateLimit: 0 }, t)
    const { gateways } = await startReplicas(t, { nodes: [node], env: SHORT_TIMEOUT })
    const [dying, other] = gateways
    const headers = headersOf('orphaned')
    await node.hang('submit', { times: 1 })
    const lost = assert.rejects(submitTo(dying!, jobOf({ token: 'orphaned' }), { headers }))
    await node.waitFor('submit')
    const answer = submitTo(other!, jobOf({ token: 'orphaned' }), { headers })
    await dying!.kill()
    await lost
    assert.equal((await answer).status, 200, (await answer).text)
    assert.equal((await listed(other!)).length, 1)
  })
})
