/** Replicas that stop for a while, without an end: what they say when they go on is as true as what the others say. */
import assert from 'node:assert/strict'
import { Agent } from 'node:http'
import { describe, test } from 'node:test'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { request } from '../../kit/http.ts'
import { redisMissing } from '../../kit/redisServer.ts'
import { assertEchoed, submitMany, submitted } from '../jobs/support.ts'
import {
  ADDRESSES,
  assertRefused,
  assertRuns,
  entryOf,
  runsOf,
  SHORT_TIMEOUT,
  startReplicas,
  takesJobs,
} from './support.ts'
import { Watch } from './watch.ts'

describe('a replica that stops and goes on', { skip: redisMissing }, () => {
  for (const addresses of ADDRESSES) {
    const theirs = addresses === 'one' ? 'one address' : 'an address each'

    test(`its first word is not stale (${theirs})`, async (t) => {
      const nodes = [await startFakeNode({ rateLimit: 0, concurrency: 50 }, t)]
      const { gateways } = await startReplicas(t, { nodes, addresses, env: SHORT_TIMEOUT })
      const [zombie, other] = gateways
      const data = (n: number): { token: string; seconds: number } => ({ token: `job ${n}`, seconds: 1 })
      const ids = await submitMany(zombie!, 5, data)
      // Connections that it has accepted already: their requests are the first that it reads.
      const agent = new Agent({ keepAlive: true, maxSockets: ids.length })
      t.after(() => agent.destroy())
      const questions = (): Promise<Awaited<ReturnType<typeof request>>[]> =>
        Promise.all(ids.map((id) => request(`${zombie!.url}/api/jobs?id=${id}`, { agent, timeoutMs: 90_000 })))
      await questions()
      zombie!.signal('SIGSTOP')
      const watch = new Watch(t, [other!], ids)
      const words = await watch.ended()
      words.forEach((word, n) => assertEchoed(entryOf(word), data(n)))
      const asked = questions()
      zombie!.signal('SIGCONT')
      for (const [n, answer] of (await asked).entries()) {
        if (answer.status === 200) assert.equal(answer.text, words[n])
        else assertRefused(answer)
      }
      await watch.stop()
      // It has a new life, in which it serves like any other.
      await takesJobs(zombie!)
      const last = new Watch(t, gateways, ids)
      assert.deepEqual(await last.ended(), words)
      await last.stop()
      for (const n of ids.keys()) assertRuns(nodes, data(n).token, addresses)
    })

    test(`it tells of jobs that still run as their new owner does (${theirs})`, async (t) => {
      const nodes = [await startFakeNode({ rateLimit: 0, concurrency: 50 }, t)]
      const { gateways } = await startReplicas(t, { nodes, addresses, env: SHORT_TIMEOUT })
      const [zombie, other] = gateways
      const short = await submitted(zombie!, { token: 'short', seconds: 0.2 })
      const long = await submitted(zombie!, { token: 'long', seconds: 8 })
      zombie!.signal('SIGSTOP')
      const meanwhile = new Watch(t, [other!], [short])
      await meanwhile.ended()
      const watch = new Watch(t, gateways, [short, long])
      zombie!.signal('SIGCONT')
      const words = await watch.ended()
      await watch.stop()
      await meanwhile.stop()
      assertEchoed(entryOf(words[1]!), { token: 'long', seconds: 8 })
      assertRuns(nodes, 'long', addresses)
    })
  }

  test('for a moment only, keeps its jobs', async (t) => {
    const nodes = [await startFakeNode({ rateLimit: 0, concurrency: 50 }, t)]
    const { gateways } = await startReplicas(t, { nodes, addresses: 'each' })
    const ids = await submitMany(gateways[0]!, 5, (n) => ({ token: `job ${n}`, seconds: 1 }))
    const ended = nodes[0]!.next('jobEnded', () => true, 20_000)
    gateways[0]!.signal('SIGSTOP')
    await ended
    gateways[0]!.signal('SIGCONT')
    const watch = new Watch(t, gateways, ids)
    await watch.ended()
    await watch.stop()
    for (const n of ids.keys()) assert.equal(runsOf(nodes, `job ${n}`), 1)
  })
})
