/** Replicas that are cut off from Redis, or from the nodes, while the others are not. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { jobOf } from '../../kit/builders/jobs.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { startFaultyProxy } from '../../kit/faultyProxy.ts'
import { post } from '../../kit/http.ts'
import { redisMissing } from '../../kit/redisServer.ts'
import { assertEchoed, submitMany, submitted } from '../jobs/support.ts'
import {
  ADDRESSES,
  assertRefused,
  assertRuns,
  buried,
  entryOf,
  living,
  ownAddress,
  runsOf,
  SHORT_TIMEOUT,
  startReplicas,
  takesJobs,
  wordOf,
} from './support.ts'
import { Watch } from './watch.ts'

describe('a replica', { skip: redisMissing }, () => {
  for (const addresses of ADDRESSES) {
    const theirs = addresses === 'one' ? 'one address' : 'an address each'

    for (const how of ['cut', 'silence'] as const) {
      test(`cut off from Redis (${how}) says nothing that the others do not say, then or later (${theirs})`, async (t) => {
        const nodes = [await startFakeNode({ rateLimit: 0, concurrency: 50 }, t)]
        const { gateways, lines, redis } = await startReplicas(t, { nodes, addresses, env: SHORT_TIMEOUT })
        const [alone] = gateways
        const names = await living(redis)
        const data = (n: number): { token: string; seconds: number } => ({ token: `job ${n}`, seconds: 1 })
        const ids = await submitMany(alone!, 5, data)
        lines[0]![how]()
        const watch = new Watch(t, gateways, ids)
        const words = await watch.ended()
        words.forEach((word, n) => assertEchoed(entryOf(word), data(n)))
        await buried(redis, names, 1)
        assertRefused(await post(`${alone!.url}/api/jobs`, jobOf({ token: 'refused' }), { timeoutMs: 60_000 }))
        for (const id of ids) assert.equal(await wordOf(alone!, id), undefined)
        lines[0]!.mend()
        await takesJobs(alone!)
        await watch.stop()
        for (const n of ids.keys()) assertRuns(nodes, data(n).token, addresses)
      })
    }

    test(`cut off from its nodes leaves its jobs to those that are not (${theirs})`, async (t) => {
      const node = await startFakeNode({ rateLimit: 0, concurrency: 50 }, t)
      const line = await startFaultyProxy(t, node.port, { keepsAddresses: addresses === 'each' })
      // Each has an address of its own up to the proxy, which shows its own to the node, or theirs.
      const { gateways } = await startReplicas(t, { nodes: [line], addresses: 'each', env: SHORT_TIMEOUT })
      const [alone, other] = gateways
      const data = (n: number): { token: string; seconds: number } => ({ token: `job ${n}`, seconds: 1 })
      const ids = await submitMany(alone!, 5, data)
      line.cut(ownAddress(0))
      const watch = new Watch(t, gateways, ids)
      const words = await watch.ended()
      words.forEach((word, n) => assertEchoed(entryOf(word), data(n)))
      line.mend()
      await takesJobs(alone!)
      await watch.stop()
      for (const n of ids.keys()) assertRuns([node], data(n).token, addresses)
      assert.equal(entryOf((await wordOf(other!, ids[0]!))!).status, 'success')
    })

    test(`whose jobs were ended by others while it was away keeps no place of theirs (${theirs})`, async (t) => {
      const nodes = [await startFakeNode({ rateLimit: 0, concurrency: 50 }, t)]
      const env = { ...SHORT_TIMEOUT, MAX_JOBS_PER_CALLER: '5' }
      const { gateways, lines, redis } = await startReplicas(t, { nodes, addresses, env })
      const [alone] = gateways
      const names = await living(redis)
      const ids = await submitMany(alone!, 5, (n) => ({ token: `job ${n}`, seconds: 1 }))
      assert.equal((await post(`${alone!.url}/api/jobs`, jobOf({ token: 'one too many' }))).status, 429)
      lines[0]!.cut()
      await buried(redis, names, 1)
      const watch = new Watch(t, [gateways[1]!], ids)
      await watch.ended()
      await watch.stop()
      lines[0]!.mend()
      await takesJobs(alone!)
      await submitMany(alone!, 5, (n) => ({ token: `later ${n}`, seconds: 60 }))
      assert.equal((await post(`${gateways[1]!.url}/api/jobs`, jobOf({ token: 'one too many' }))).status, 429)
    })
  }

  test('tells no end before it is recorded: with it in memory alone it may die', async (t) => {
    const node = await startFakeNode({ rateLimit: 0, concurrency: 50 }, t)
    const { gateways, lines } = await startReplicas(t, { nodes: [node], addresses: 'each' })
    const [dying, other] = gateways
    const id = await submitted(dying!, { token: 'told', seconds: 1 })
    const ended = node.ended(id)
    lines[0]!.silence()
    await ended
    const asked = (): Promise<unknown> => node.next('request', ({ endpoint }) => endpoint === 'jobs')
    // It has asked its node after the end, and so knows of it.
    await asked()
    const words = await Promise.all(Array.from({ length: 10 }, () => wordOf(dying!, id)))
    for (const word of words) assert.ok(word === undefined || entryOf(word).status === 'running', word)
    await dying!.kill()
    assert.equal(entryOf((await wordOf(other!, id))!).status, 'running')
  })

  test('whose word of an end came to Redis, but not the answer, does not call the job running any more', async (t) => {
    const node = await startFakeNode({ rateLimit: 0, concurrency: 50 }, t)
    const { gateways, lines } = await startReplicas(t, { nodes: [node] })
    const [half, other] = gateways
    const id = await submitted(half!, { token: 'half', seconds: 1 })
    lines[0]!.silence('answers')
    const told = new Watch(t, [other!], [id])
    await told.ended()
    const watch = new Watch(t, gateways, [id])
    await watch.ended()
    const words = await Promise.all(Array.from({ length: 10 }, () => wordOf(half!, id)))
    for (const word of words) assert.ok(word === undefined || entryOf(word).status === 'success', word)
    lines[0]!.mend()
    await takesJobs(half!)
    await watch.stop()
    await told.stop()
    assert.equal(runsOf([node], 'half'), 1)
  })
})
