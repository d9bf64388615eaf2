/** Redis away, in each of the ways in which it can be: what needs it is refused, all else goes on, and nothing is lost. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { entryOf as serviceOf } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { startFakeNode, type LocalFakeNode } from '../../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { openStream, post, request } from '../../kit/http.ts'
import { redisMissing, startRedis, type RedisOptions } from '../../kit/redisServer.ts'
import type { Cleanup } from '../../kit/wait.ts'
import { assertEchoed, submitted } from '../jobs/support.ts'
import {
  assertRefused,
  beats,
  entryOf,
  isFinal,
  living,
  runsOf,
  startReplicas,
  takesJobs,
  wordOf,
  type Replicas,
} from './support.ts'
import { Watch } from './watch.ts'

interface Site extends Replicas {
  readonly node: LocalFakeNode
}

async function startSite(t: Cleanup, redis: RedisOptions = { appendOnly: true }): Promise<Site> {
  const node = await startFakeNode({ rateLimit: 0, concurrency: 50 }, t)
  const service = await startFakeOpenAi({ models: ['small'] }, t)
  const server = await startRedis(t, redis)
  const replicas = await startReplicas(t, { nodes: [node], services: [serviceOf(service)], redis: server })
  return { ...replicas, node }
}

/** What does not need Redis works, at each replica. */
async function assertServesOthers(gateways: readonly Gateway[]): Promise<void> {
  for (const { url } of gateways) {
    const chat = await post(`${url}/v1/chat/completions`, { model: 'small', messages: [] })
    assert.equal(chat.status, 200, chat.text)
    for (const path of ['/api/v1/ips?container=echo', '/info', '/v1/models', '/readyz', '/health']) {
      assert.equal((await request(url + path)).status, 200, path)
    }
  }
}

/** What has to be recorded is refused, at each replica. */
async function assertRefusesWork(gateways: readonly Gateway[]): Promise<void> {
  for (const { url } of gateways) {
    const timeoutMs = 60_000
    assertRefused(await post(`${url}/api/jobs`, jobOf({ token: 'refused' }), { timeoutMs }))
    assertRefused(await post(`${url}/api/jobs/batch`, [jobOf({ token: 'refused' })], { timeoutMs }))
    assertRefused(await post(`${url}/api/jobs/stream`, jobOf({ token: 'refused' }), { timeoutMs }))
    assertRefused(await post(`${url}/route/`, { endpoint: 'echo' }, { timeoutMs }))
    const { degraded } = (await request(`${url}/health`)).json<{ degraded: boolean }>()
    assert.equal(degraded, true)
  }
}

/** Runs through an outage that takes no longer than a replica is waited for, from its beginning to its end. */
async function outage(t: Cleanup, site: Site, begin: () => unknown, end: () => unknown): Promise<void> {
  const { gateways, redis, node } = site
  const [one] = gateways
  const names = await living(redis)
  const done = await submitted(one!, { token: 'done' })
  const before = new Watch(t, gateways, [done])
  const [known] = await before.ended()
  await before.stop()
  const stream = await openStream(`${one!.url}/api/jobs/stream`, {
    body: jobOf({ token: 'stream', pieces: 20, pieceMs: 100 }),
  })
  await stream.next()
  const long = await submitted(one!, { token: 'long', seconds: 60 })
  const short = await submitted(one!, { token: 'short', seconds: 1 })
  const ended = node.ended(short, 20_000)

  await begin()
  await ended
  await node.next('request', ({ endpoint }) => endpoint === 'jobs', 20_000)
  await node.next('request', ({ endpoint }) => endpoint === 'jobs', 20_000)
  for (const gateway of gateways) {
    // An end that is not recorded is not told, and nothing that was told is taken back.
    for (const id of [short, long]) {
      const word = await wordOf(gateway, id)
      assert.ok(word === undefined || !isFinal(word), word)
    }
    const word = await wordOf(gateway, done)
    assert.ok(word === undefined || word === known, word)
  }
  await assertServesOthers(gateways)
  await assertRefusesWork(gateways)
  await assertServesOthers(gateways)
  while (await stream.next());
  assert.equal(stream.text.split('piece').length, 21)

  await end()
  for (const gateway of gateways) await takesJobs(gateway)
  const watch = new Watch(t, gateways, [short])
  const [word] = await watch.ended()
  assertEchoed(entryOf(word!), { token: 'short', seconds: 1 })
  await watch.stop()
  const after = new Watch(t, gateways, [done])
  assert.deepEqual(await after.ended(), [known])
  await after.stop()
  assert.equal(entryOf((await wordOf(gateways[1]!, long))!).status, 'running')
  for (const token of ['short', 'long', 'done', 'stream']) assert.equal(runsOf([node], token), 1, token)
  // Nobody was taken for dead for it.
  assert.deepEqual(await living(redis), names)
}

describe('while Redis', { skip: redisMissing }, () => {
  test('is down, all but jobs and tickets goes on; afterwards nothing is missing', async (t) => {
    const site = await startSite(t)
    const { redis } = site
    await outage(
      t,
      site,
      () => redis.kill(),
      () => redis.restart(),
    )
  })

  test('still reads its data, the same holds', async (t) => {
    const site = await startSite(t, {})
    const { redis } = site
    let finish = (): Promise<void> => Promise.resolve()
    await outage(
      t,
      site,
      async () => (finish = await redis.restartLoading()),
      () => finish(),
    )
  })

  test('may not be written to, the same holds', async (t) => {
    const site = await startSite(t)
    const { redis } = site
    const master = await startRedis(t)
    // Not with that one's data, which it would take instead of its own: it never gets to it.
    master.pause()
    await outage(
      t,
      site,
      () => redis.call('REPLICAOF', '127.0.0.1', String(master.port)),
      () => redis.call('REPLICAOF', 'NO', 'ONE'),
    )
  })

  test('hangs, the same holds', async (t) => {
    const site = await startSite(t)
    const { redis } = site
    await outage(
      t,
      site,
      () => redis.pause(),
      () => redis.resume(),
    )
  })

  test('answers no writes (CLIENT PAUSE), the same holds', async (t) => {
    const site = await startSite(t)
    const { redis } = site
    await outage(
      t,
      site,
      () => redis.call('CLIENT', 'PAUSE', '600000', 'WRITE'),
      () => redis.call('CLIENT', 'UNPAUSE'),
    )
  })

  test('cannot be reached by any, the same holds', async (t) => {
    const site = await startSite(t)
    const { lines } = site
    await outage(
      t,
      site,
      () => lines.forEach((line) => line.silence()),
      () => lines.forEach((line) => line.mend()),
    )
  })

  test('is full, jobs are refused, those that run are told of later, and no replica dies of it', async (t) => {
    const node = await startFakeNode({ rateLimit: 0, concurrency: 50 }, t)
    const env = { REPLICA_TIMEOUT: '2' }
    const { gateways, redis } = await startReplicas(t, { nodes: [node], env })
    const [one] = gateways
    const names = await living(redis)
    const id = await submitted(one!, { token: 'held', seconds: 1 })
    await redis.call('CONFIG', 'SET', 'maxmemory', '1')
    for (const { url } of gateways) assertRefused(await post(`${url}/api/jobs`, jobOf({ token: 'refused' })))
    await node.ended(id)
    // Twice as long as a silent replica is waited for.
    await beats(redis, 20)
    for (const gateway of gateways) {
      const word = await wordOf(gateway, id)
      assert.ok(word !== undefined && !isFinal(word), word)
    }
    assert.deepEqual(await living(redis), names)
    await redis.call('CONFIG', 'SET', 'maxmemory', '0')
    const watch = new Watch(t, gateways, [id])
    const [word] = await watch.ended()
    assertEchoed(entryOf(word!), { token: 'held', seconds: 1 })
    await watch.stop()
    for (const gateway of gateways) await takesJobs(gateway)
    assert.equal(runsOf([node], 'held'), 1)
  })

  test('is far away, an acknowledged job is recorded there all the same', async (t) => {
    const { gateways, lines } = await startSite(t)
    const [one, other] = gateways
    lines[0]!.delay(100)
    const startedAt = performance.now()
    const id = await submitted(one!, { token: 'far' })
    // Timers may come early by a millisecond each.
    assert.ok(performance.now() - startedAt >= 190, 'acknowledged before Redis can have answered')
    assert.notEqual(await wordOf(other!, id), undefined)
    const watch = new Watch(t, gateways, [id])
    const [word] = await watch.ended()
    assertEchoed(entryOf(word!), { token: 'far' })
    await watch.stop()
    await assertServesOthers(gateways)
  })

  test('is away at their start, gateways start all the same and serve what they can', async (t) => {
    const site = await startSite(t)
    const { redis, gateways, node } = site
    const id = await submitted(gateways[0]!, { token: 'early', seconds: 1 })
    await redis.kill()
    for (const gateway of gateways) await gateway.kill()
    for (const gateway of gateways) await gateway.restart({ REPLICA_TIMEOUT: '2' })
    for (const gateway of gateways) await gateway.ready(2)
    await assertServesOthers(gateways)
    await assertRefusesWork(gateways)
    await redis.restart()
    for (const gateway of gateways) await takesJobs(gateway)
    const watch = new Watch(t, gateways, [id])
    const [word] = await watch.ended()
    assertEchoed(entryOf(word!), { token: 'early', seconds: 1 })
    await watch.stop()
    assert.equal(runsOf([node], 'early'), 1)
  })
})
