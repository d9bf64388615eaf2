/** Replicas that are killed: any other answers for their jobs, and sees to it that they end. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { request } from '../../kit/http.ts'
import { redisMissing } from '../../kit/redisServer.ts'
import { assertEchoed, submitMany, submitted, type JobEntry } from '../jobs/support.ts'
import { ADDRESSES, assertRuns, buried, entryOf, living, runsOf, SHORT_TIMEOUT, startReplicas } from './support.ts'
import { Watch } from './watch.ts'

describe('replicas that are killed', { skip: redisMissing }, () => {
  for (const addresses of ADDRESSES) {
    const theirs = addresses === 'one' ? 'one address' : 'an address each'

    test(`the jobs of one end once, told by all others alike (${theirs})`, async (t) => {
      const nodes = [await startFakeNode({ rateLimit: 0, concurrency: 50 }, t)]
      const { gateways, redis } = await startReplicas(t, { count: 3, nodes, addresses, env: SHORT_TIMEOUT })
      const [dying, ...others] = gateways
      const names = await living(redis)
      const data = (n: number): { token: string; seconds: number } => ({
        token: `job ${n}`,
        seconds: n % 2 === 0 ? 0.5 : 4,
      })
      const ids = await submitMany(dying!, 10, data)
      await dying!.kill()
      const watch = new Watch(t, others, ids)
      const words = await watch.ended()
      words.forEach((word, n) => assertEchoed(entryOf(word), data(n)))
      await buried(redis, names, 1)
      await watch.stop()
      for (const n of ids.keys()) assertRuns(nodes, data(n).token, addresses)
    })

    test(`the next one to start takes over where all have died (${theirs})`, async (t) => {
      const nodes = [await startFakeNode({ rateLimit: 0, concurrency: 50 }, t)]
      const { gateways } = await startReplicas(t, { nodes, addresses, env: SHORT_TIMEOUT })
      const [first, second] = gateways
      const data = (n: number): { token: string; seconds: number } => ({ token: `job ${n}`, seconds: 1 })
      const ids = await submitMany(first!, 5, data)
      await Promise.all([first!.kill(), second!.kill()])
      // The other one, so that with an address each its nodes do not know it.
      await second!.restart()
      const watch = new Watch(t, [second!], ids)
      const words = await watch.ended()
      words.forEach((word, n) => assertEchoed(entryOf(word), data(n)))
      await watch.stop()
      for (const n of ids.keys()) assertRuns(nodes, data(n).token, addresses)
    })

    test(`a job whose node dies with its replica runs again elsewhere (${theirs})`, async (t) => {
      const nodes = await Promise.all([1, 2].map(() => startFakeNode({ rateLimit: 0, concurrency: 50 }, t)))
      const { gateways } = await startReplicas(t, { nodes, addresses, env: SHORT_TIMEOUT })
      const [dying, staying] = gateways
      const data = { token: 'twice', seconds: 3 }
      const id = await submitted(dying!, data)
      const home = nodes.find((node) => runsOf([node], data.token) > 0)!
      await dying!.kill()
      await home.forget()
      await home.refuse()
      const watch = new Watch(t, [staying!], [id])
      const [word] = await watch.ended()
      assertEchoed(entryOf(word!), data)
      await watch.stop()
      assert.equal(runsOf(nodes, data.token), 2)
    })
  }

  test('whoever waits for a job at another one learns of its end', async (t) => {
    const nodes = [await startFakeNode({ rateLimit: 0 }, t)]
    const { gateways } = await startReplicas(t, { nodes, env: SHORT_TIMEOUT })
    const [dying, staying] = gateways
    const id = await submitted(dying!, { token: 'waited for', seconds: 0.5 })
    const answer = request(`${staying!.url}/api/jobs?id=${id}&wait=60`, { timeoutMs: 90_000 })
    await dying!.kill()
    assertEchoed((await answer).json<JobEntry[]>()[0], { token: 'waited for', seconds: 0.5 })
  })

  test('one that comes back under its address takes up its jobs again, without a second run', async (t) => {
    const nodes = [await startFakeNode({ rateLimit: 0, concurrency: 50 }, t)]
    // With the usual time-out: others wait half of it, after its death, for whoever knows the jobs.
    const { gateways } = await startReplicas(t, { nodes, addresses: 'each' })
    const [dying] = gateways
    const ids = await submitMany(dying!, 5, (n) => ({ token: `job ${n}`, seconds: 1 }))
    await dying!.kill()
    await dying!.restart()
    const watch = new Watch(t, gateways, ids)
    await watch.ended()
    await watch.stop()
    for (const n of ids.keys()) assert.equal(runsOf(nodes, `job ${n}`), 1)
  })
})
