/** A Redis that has lost its latest changes, or all: replicas tell it again what they did last. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, test } from 'node:test'
import { jobOf } from '../../kit/builders/jobs.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { startFaultyProxy, type FaultyProxy } from '../../kit/faultyProxy.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { post, request } from '../../kit/http.ts'
import { redisMissing, startRedis, type RedisServer } from '../../kit/redisServer.ts'
import { eventually, type Cleanup } from '../../kit/wait.ts'
import { assertEchoed, submitMany, submitted } from '../jobs/support.ts'
import { assertRefused, entryOf, living, LONG, runsOf, startReplicas, takesJobs } from './support.ts'
import { Watch } from './watch.ts'

interface Pair {
  readonly master: RedisServer
  readonly copy: RedisServer
  /** By which the copy gets its data. */
  readonly link: FaultyProxy
}

async function startPair(t: Cleanup): Promise<Pair> {
  const master = await startRedis(t)
  const link = await startFaultyProxy(t, master.port)
  const copy = await startRedis(t, { replicaOf: link })
  await inStep(master, copy)
  return { master, copy, link }
}

/** Waits until the copy has all that the master has now. */
async function inStep(master: RedisServer, copy: RedisServer): Promise<void> {
  const mark = String(Math.random())
  await master.call('SET', 'mark', mark)
  await eventually(async () => (await copy.call('GET', 'mark')) === mark, LONG)
}

/** The master is gone, and its copy takes its place: what it had not got yet is lost. */
async function failOver({ master, copy }: Pair, lines: readonly FaultyProxy[]): Promise<void> {
  await master.kill()
  await copy.call('REPLICAOF', 'NO', 'ONE')
  for (const line of lines) line.retarget(copy.port)
}

/** Waits until all replicas tell again what they told of jobs that had ended: each of them has to put back its part. */
async function putBack(gateways: readonly Gateway[], { ends }: Watch): Promise<void> {
  for (const gateway of gateways) {
    for (const [id, word] of ends) {
      const look = async (): Promise<boolean> => (await request(`${gateway.url}/api/jobs?id=${id}`)).text === word
      await eventually(look, { ...LONG, what: `the end of ${id}` })
    }
  }
}

describe('after a failover', { skip: redisMissing }, () => {
  for (const missedMs of [200, 1000]) {
    test(`to a copy that missed ${missedMs} ms, every acknowledged job is known and ends as it ended`, async (t) => {
      const nodes = [await startFakeNode({ rateLimit: 0, concurrency: 100 }, t)]
      const pair = await startPair(t)
      const { gateways, lines } = await startReplicas(t, { nodes, redis: pair.master })
      const early = await submitMany(gateways[0]!, 5, (n) => ({ token: `early ${n}`, seconds: 1.5 }))
      const told = await submitMany(gateways[1]!, 5, (n) => ({ token: `told ${n}` }))
      await inStep(pair.master, pair.copy)
      pair.link.silence()
      const missedUntil = performance.now() + missedMs
      const missed: string[] = []
      const finals = new Watch(t, gateways, told)
      while (performance.now() < missedUntil) {
        const [one, other] = gateways
        const data = (): { token: string; seconds: number } => ({ token: `missed ${missed.length}`, seconds: 0.1 })
        missed.push(
          await submitted(one!, data()),
          await submitted(other!, { ...data(), token: `missed ${missed.length + 1}` }),
        )
        await sleep(20)
      }
      await finals.ended()
      await finals.stop()
      await failOver(pair, lines)
      for (const gateway of gateways) await takesJobs(gateway)
      await putBack(gateways, finals)
      const ids = [...early, ...told, ...missed]
      const watch = new Watch(t, gateways, ids)
      const words = await watch.ended()
      for (const word of words) assert.equal(entryOf(word).status, 'success', word)
      await watch.stop()
      told.forEach((id, n) => assert.equal(words[early.length + n], finals.ends.get(id)))
      for (const [n] of missed.entries()) assert.equal(runsOf(nodes, `missed ${n}`), 1)
      for (const [n] of early.entries()) assert.equal(runsOf(nodes, `early ${n}`), 1)
    })
  }

  test('to a copy while the old one still serves: it refuses, and its replica joins the others later', async (t) => {
    const nodes = [await startFakeNode({ rateLimit: 0, concurrency: 100 }, t)]
    const pair = await startPair(t)
    const { master, copy, link } = pair
    await master.call('CONFIG', 'SET', 'min-replicas-to-write', '1')
    const env = { REPLICA_TIMEOUT: '2' }
    const { gateways, lines } = await startReplicas(t, { count: 3, nodes, redis: master, env })
    const [minority, ...majority] = gateways
    const ids = await submitMany(minority!, 5, (n) => ({ token: `job ${n}`, seconds: 1 }))
    await inStep(master, copy)
    const watch = new Watch(t, gateways, ids)
    link.cut()
    await copy.call('REPLICAOF', 'NO', 'ONE')
    for (const line of lines.slice(1)) line.retarget(copy.port)
    await eventually(
      () =>
        master.call('SET', 'mark', '').then(
          () => false,
          (error: unknown) => /NOREPLICAS/.test(String(error)),
        ),
      LONG,
    )
    assertRefused(await post(`${minority!.url}/api/jobs`, jobOf({ token: 'refused' }), { timeoutMs: 60_000 }))
    for (const gateway of majority) await takesJobs(gateway)
    const words = await watch.ended()
    words.forEach((word, n) => assertEchoed(entryOf(word), { token: `job ${n}`, seconds: 1 }))
    await eventually(async () => (await living(copy)).length === 2, LONG)
    lines[0]!.retarget(copy.port)
    await takesJobs(minority!)
    await watch.stop()
    assert.equal((await living(copy)).length, 3)
    for (const n of ids.keys()) assert.equal(runsOf(nodes, `job ${n}`), 1)
  })
})

describe('a Redis that comes back empty', { skip: redisMissing }, () => {
  test('is told of the jobs that run, which all end, once', async (t) => {
    const nodes = [await startFakeNode({ rateLimit: 0, concurrency: 100 }, t)]
    const redis = await startRedis(t)
    const { gateways } = await startReplicas(t, { nodes, redis })
    const data = (n: number): { token: string; seconds: number } => ({
      token: `job ${n}`,
      seconds: n % 2 === 0 ? 0.1 : 4,
    })
    const ids: string[] = []
    for (let n = 0; n < 40; n++) ids.push(await submitted(gateways[n % 2]!, data(n)))
    await redis.restart({ keepsData: false })
    for (const gateway of gateways) await takesJobs(gateway)
    const watch = new Watch(t, gateways, ids)
    const words = await watch.ended()
    words.forEach((word, n) => assertEchoed(entryOf(word), data(n)))
    await watch.stop()
    for (const n of ids.keys()) assert.equal(runsOf(nodes, data(n).token), 1)
  })

  test('still has a job whose end was told a moment before', async (t) => {
    const nodes = [await startFakeNode({ rateLimit: 0 }, t)]
    const redis = await startRedis(t)
    const { gateways } = await startReplicas(t, { nodes, redis })
    const id = await submitted(gateways[0]!, { token: 'told' })
    const before = new Watch(t, gateways, [id])
    await before.ended()
    await before.stop()
    await redis.restart({ keepsData: false })
    for (const gateway of gateways) await takesJobs(gateway)
    await putBack(gateways, before)
    const after = new Watch(t, gateways, [id])
    assert.deepEqual(await after.ended(), [before.ends.get(id)])
    await after.stop()
  })
})
