/** A Redis that is full, hangs, restarts, or has lost what was written. */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { SharedLedger } from '../../../src/ledger/ledger.ts'
import { aJob, anAnswer, anEnd } from '../../kit/builders/jobs.ts'
import { redisMissing, startRedis } from '../../kit/redisServer.ts'
import { eventually } from '../../kit/wait.ts'
import { finishedJobs, ledgerAt, wholeOf } from '../ledgerKit.ts'
import { openRedisStore, SHORT_TIMEOUT } from '../sharedStores.ts'
import { P } from './replicaKit.ts'

suite('a Redis that fails', { skip: redisMissing, concurrency: 4 }, () => {
  test('full: jobs are refused, what is kept is told, ends are held until there is room', async (t) => {
    const server = await startRedis(t)
    const ledger = (await ledgerAt(t, server.url(), SHORT_TIMEOUT)) as SharedLedger
    const [finished] = await finishedJobs(ledger, 1)
    const record = aJob()
    await ledger.insert([{ record }])
    await server.call('CONFIG', 'SET', 'maxmemory', '1mb')
    await assert.rejects(ledger.insert([{ record: aJob() }]), { code: 'ERR_LEDGER', message: /Redis is full/ })
    assert.equal(ledger.health().reason, 'Redis is full')
    const ending = ledger.finish(record.id, anEnd())
    await eventually(() => ledger.health().held === 1)
    assert.equal((await ledger.find(record.id))?.state, 'running')
    assert.equal((await ledger.read('10.0.0.1', [finished!])).length, 1)
    // Longer than a gateway without a sign of life counts as living: a full Redis takes beats all the same.
    await eventually(
      async () => Number(await server.call('HGET', `${P}beats`, ledger.coordination.membership.self)) > 8,
    )
    assert.equal(ledger.coordination.membership.isSure, true)
    await server.call('CONFIG', 'SET', 'maxmemory', '0')
    assert.equal(await ending, true)
    assert.equal(ledger.health().writable, true)
    await ledger.insert([{ record: aJob() }])
  })

  test('held up by nobody: the jobs of a gateway are read in pages, however many there are', async (t) => {
    const server = await startRedis(t)
    const ledger = (await ledgerAt(t, server.url())) as SharedLedger
    const { self } = ledger.coordination.membership
    const records = Array.from({ length: 1200 }, () => aJob())
    await ledger.insert(records.map((record) => ({ record })))
    await server.call('CONFIG', 'RESETSTAT')
    const owned = await ledger.ownedBy(self)
    const ids = (of: readonly { id: string }[]): string[] => of.map(({ id }) => id).sort()
    assert.deepEqual(ids(owned.map(({ record }) => record)), ids(records))
    const calls = Number(/cmdstat_sscan:calls=(\d+)/.exec(String(await server.call('INFO', 'commandstats')))?.[1])
    assert.ok(calls >= 2, `${calls} calls for 1,200 jobs`)
  })

  test('full: what is too old is removed all the same', async (t) => {
    const server = await startRedis(t)
    const ledger = await ledgerAt(t, server.url(), { ttlSeconds: 5 })
    await finishedJobs(ledger, 20)
    await server.call('CONFIG', 'SET', 'maxmemory', '1mb')
    await eventually(() => ledger.health().jobs === 0)
  })

  test('hung: an insert is refused after five seconds, the next one at once; then all goes on', async (t) => {
    const server = await startRedis(t)
    const ledger = await ledgerAt(t, server.url(), { replicaTimeoutSeconds: 60 })
    const record = aJob()
    server.pause()
    t.after(() => server.resume())
    const startedAt = performance.now()
    await assert.rejects(ledger.insert([{ record }]), {
      code: 'ERR_LEDGER',
      message: /Redis (does not answer|cannot be)/,
    })
    assert.ok(performance.now() - startedAt >= 5000)
    await assert.rejects(ledger.insert([{ record: aJob() }]), { code: 'ERR_LEDGER' })
    server.resume()
    await eventually(() => ledger.probe())
    await ledger.insert([{ record: aJob() }])
  })

  test('hung: what is read is refused after two seconds', async (t) => {
    const server = await startRedis(t)
    const ledger = await ledgerAt(t, server.url(), { replicaTimeoutSeconds: 60 })
    const [finished] = await finishedJobs(ledger, 1)
    server.pause()
    t.after(() => server.resume())
    const startedAt = performance.now()
    await assert.rejects(ledger.read('10.0.0.1', [finished!]), { code: 'ERR_LEDGER' })
    assert.ok(performance.now() - startedAt < 20_000)
  })

  test('an insert whose answer is lost is recorded once', async (t) => {
    const store = await openRedisStore(t)
    const { ledger, proxy } = await store.handle({ replicaTimeoutSeconds: 60 })
    const { room } = ledger.coordination
    const limits = { jobsOfCaller: 2, bytesOfCaller: 100, bytesInAll: 100 }
    await room.take('10.0.0.1', { jobs: 1, bytes: 10 }, limits)
    // Redis knows the script from now on; before it would ask for it.
    await ledger.insert([{ record: aJob({ caller: 'another' }) }])
    const record = aJob()
    proxy.silence('answers')
    const inserting = ledger.insert([{ record, room: 10 }], anAnswer())
    await eventually(async () => (await store.server.call('EXISTS', `${P}j:${record.id}`)) === 1)
    proxy.mend()
    proxy.drop()
    await inserting
    assert.deepEqual(await ledger.list('10.0.0.1', 'all'), [record.id])
    const none = { reason: 'jobs', taken: { jobs: 1, bytes: 10 } }
    assert.deepEqual(await room.take('10.0.0.1', { jobs: 2, bytes: 0 }, limits), none)
  })

  test('an end and a run whose answers are lost are taken for what they are: ours', async (t) => {
    const store = await openRedisStore(t)
    const { ledger, proxy } = await store.handle({ replicaTimeoutSeconds: 60 })
    const [ended, moved] = [aJob(), aJob()]
    await ledger.insert([{ record: ended }, { record: moved }])
    const run = { ...moved, node: 'elsewhere', runs: 2 }
    proxy.silence('answers')
    const changes = [ledger.finish(ended.id, anEnd()), ledger.startRun(moved.id, run, 1)]
    await eventually(async () => (await store.server.call('HGET', `${P}j:${ended.id}`, 's')) === 'success')
    await eventually(async () => (await store.server.call('HGET', `${P}j:${moved.id}`, 'r')) === '2')
    proxy.drop()
    proxy.mend()
    assert.deepEqual(await Promise.all(changes), [true, true])
    assert.equal(await ledger.finish(ended.id, anEnd({ state: 'failed' })), false)
  })

  test('a long result that cannot be written is held, and written whole later', async (t) => {
    const store = await openRedisStore(t)
    const handle = await store.handle({ replicaTimeoutSeconds: 60 })
    const { ledger } = handle
    const record = aJob()
    await ledger.insert([{ record }])
    handle.cutOff()
    const result = Buffer.alloc(3_000_000, 'x')
    const ending = ledger.finish(record.id, anEnd({ result, intermediate: Buffer.from('[]') }))
    await eventually(() => ledger.health().held === 1)
    handle.rejoin()
    assert.equal(await ending, true)
    const [job] = await ledger.read(record.caller, [record.id])
    assert.ok((await wholeOf(job?.result)).equals(result))
    assert.equal(String(await wholeOf(job?.intermediate)), '[]')
  })

  test('restarted with its file: nothing is lost, and nobody is buried', async (t) => {
    const server = await startRedis(t, { appendOnly: true })
    const ledger = (await ledgerAt(t, server.url())) as SharedLedger
    const { membership } = ledger.coordination
    const record = aJob()
    await ledger.insert([{ record }])
    const name = membership.self
    await server.restart()
    await eventually(() => ledger.health().writable)
    assert.equal(await ledger.finish(record.id, anEnd()), true)
    assert.equal(membership.self, name)
  })

  test('restarted empty: what was written within ten seconds is written again, before the owner puts the rest right', async (t) => {
    const server = await startRedis(t)
    const ledger = (await ledgerAt(t, server.url())) as SharedLedger
    const records = [aJob(), aJob(), aJob()]
    const told = Promise.withResolvers<string[]>()
    ledger.coordination.membership.attach({
      onNewLife: async () => {},
      onHistoryLost: async () => told.resolve((await ledger.unfinished()).map(({ record }) => record.id)),
    })
    await ledger.insert(
      records.map((record) => ({ record, request: Buffer.from(record.id), room: 5 })),
      anAnswer(),
    )
    await ledger.startRun(records[1]!.id, { ...records[1]!, node: 'elsewhere', runs: 2 }, 1)
    await ledger.finish(records[0]!.id, anEnd({ result: Buffer.from('"kept"') }))
    assert.equal(await ledger.nextReqnum('worker'), 1)
    await server.restart({ keepsData: false })
    assert.deepEqual((await told.promise).sort(), [records[1]!.id, records[2]!.id].sort())
    const [job] = await ledger.read('10.0.0.1', [records[0]!.id])
    assert.deepEqual([job?.state, String(await wholeOf(job?.result))], ['success', '"kept"'])
    assert.deepEqual(await ledger.find(records[1]!.id), { ...records[1]!, node: 'elsewhere', runs: 2 })
    assert.equal(String(await ledger.request(records[2]!.id)), records[2]!.id)
    assert.ok(await ledger.idempotencyRecord('10.0.0.1', '/api/jobs', 'once'))
    assert.equal(await ledger.nextReqnum('worker'), 2)
    assert.equal(ledger.health().jobs, 3)
    assert.equal(await server.call('HGET', `${P}obytes`, '10.0.0.1'), '10')
    await eventually(() => ledger.coordination.membership.isSure)
  })

  test('fallen back to a copy that missed the last moments: first ends stand, the others are put back', async (t) => {
    const server = await startRedis(t)
    const copy = await startRedis(t, { replicaOf: server })
    const store = await openRedisStore(t, server)
    const { ledger, proxy } = await store.handle()
    const early = aJob()
    await ledger.insert([{ record: early }])
    await eventually(async () => (await copy.call('EXISTS', `${P}j:${early.id}`)) === 1)
    copy.pause()
    t.after(() => copy.resume())
    const late = aJob()
    await ledger.insert([{ record: late }])
    await ledger.finish(early.id, anEnd({ state: 'failed' }))
    await server.kill()
    copy.resume()
    await copy.call('REPLICAOF', 'NO', 'ONE')
    proxy.retarget(copy.port)
    await eventually(() => ledger.health().writable)
    await eventually(async () => (await ledger.find(late.id))?.state === 'running')
    assert.equal((await ledger.find(early.id))?.state, 'failed')
    assert.equal(await ledger.finish(early.id, anEnd()), false)
  })

  test('a result that was being received by a gateway that died takes no room any more', async (t) => {
    const store = await openRedisStore(t)
    const [one, other] = [await store.handle(SHORT_TIMEOUT), await store.handle(SHORT_TIMEOUT)]
    const [a, b] = [one.ledger, other.ledger]
    const received = await a.receive('10.0.0.1')
    await received.add('result', Buffer.alloc(1_000_000))
    assert.ok(a.health().keptBytes >= 1_000_000)
    await eventually(() => b.health().keptBytes >= 1_000_000)
    one.cutOff()
    await eventually(() => b.health().keptBytes === 0)
    assert.equal(await store.server.call('EXISTS', `${P}kept`), 0)
    await assert.rejects(received.add('result', Buffer.alloc(1)), { code: 'ERR_LEDGER' })
  })
})
