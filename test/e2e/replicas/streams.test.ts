/** What a client gets for itself alone, streams and subscriptions, where its replica dies amid it. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { jobOf, subscriptionFor } from '../../kit/builders/jobs.ts'
import { type LocalFakeNode, startFakeNode } from '../../kit/fakeNode/index.ts'
import { openStream, post } from '../../kit/http.ts'
import { redisMissing } from '../../kit/redisServer.ts'
import { buried, entryOf, living, type Replicas, runsOf, SHORT_TIMEOUT, startReplicas, takesJobs } from './support.ts'
import type { Cleanup } from '../../kit/wait.ts'
import { Watch } from './watch.ts'

describe('a replica that dies', { skip: redisMissing }, () => {
  test('breaks off its streams; each is what its node says, and never runs again', async (t) => {
    const node = await startFakeNode({ rateLimit: 0, leftStreamsStayPending: false }, t)
    const { gateways } = await startReplicas(t, { nodes: [node], env: SHORT_TIMEOUT })
    await assertFailsOnce(t, node, gateways)
  })

  test('leaves streams that no other can read to JOB_TIMEOUT', async (t) => {
    const node = await startFakeNode({ rateLimit: 0 }, t)
    const env = { ...SHORT_TIMEOUT, JOB_TIMEOUT: '6' }
    const { gateways } = await startReplicas(t, { nodes: [node], addresses: 'each', env })
    await assertFailsOnce(t, node, gateways)
  })

  test('sent its subscriptions once, and no other sends them again', async (t) => {
    const node = await startFakeNode({ rateLimit: 0, chain: true, containers: ['echo'] }, t)
    const { gateways, redis } = await startReplicas(t, { nodes: [node], env: SHORT_TIMEOUT })
    const [dying, other] = gateways
    const names = await living(redis)
    await node.hang('submit', { times: 1, runs: true })
    const body = subscriptionFor(['echo'])
    const broken = assert.rejects(post(`${dying!.url}/api/jobs`, body, { timeoutMs: 60_000 }))
    await node.waitFor('submit')
    await dying!.kill()
    await broken
    await buried(redis, names, 1)
    await takesJobs(other!)
    assert.equal(node.seen('submit').filter(({ text }) => text === body).length, 1)
  })
})

/** Streams a job through the first gateway, which is killed then: the other one tells its end, and it is not run again. */
async function assertFailsOnce(t: Cleanup, node: LocalFakeNode, gateways: Replicas['gateways']): Promise<void> {
  const [dying, other] = gateways
  const body = jobOf({ token: 'stream', pieces: 1000, pieceMs: 50 })
  const stream = await openStream(`${dying!.url}/api/jobs/stream`, { body })
  const id = (await stream.until((text) => text.includes('\n'))).split('\n')[0]!
  const broken = assert.rejects(async () => {
    while (await stream.next());
  })
  await dying!.kill()
  await broken
  const watch = new Watch(t, [other!], [id])
  const [word] = await watch.ended()
  assert.equal(entryOf(word!).status, 'failed')
  await watch.stop()
  assert.equal(runsOf([node], 'stream'), 1)
}
