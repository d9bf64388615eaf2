/** What workers of one machine share besides the jobs, and whose the jobs are. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { suite, test } from 'node:test'
import type { SharedLedger } from '../../../src/ledger/ledger.ts'
import { WorkerHub } from '../../../src/ledger/ipc/hub.ts'
import { MemberServer } from '../../../src/ledger/ipc/server.ts'
import { pack } from '../../../src/ledger/packedBytes.ts'
import type { ReplicaState, RoomLimits } from '../../../src/replicas/index.ts'
import { aJob, anAnswer, anEnd } from '../../kit/builders/jobs.ts'
import { eventually, type Cleanup } from '../../kit/wait.ts'
import { ledgerAt, ledgerPath, LogLines, sqliteAt } from '../ledgerKit.ts'
import { remoteHub } from './hubs.ts'

const CALLER = '10.0.0.1'
const NO_LIMITS: RoomLimits = { jobsOfCaller: 0, bytesOfCaller: Infinity, bytesInAll: Infinity }

interface Pair {
  readonly a: SharedLedger
  readonly b: SharedLedger
}

/** Two workers: in the process of the hub, and each over a channel to it. */
const PAIRS: Record<string, (t: Cleanup) => Promise<Pair>> = {
  'in one process': async (t) => {
    const hub = await WorkerHub.open(await ledgerAt(t, 'memory:'))
    t.after(() => hub.close())
    return { a: hub.join(), b: hub.join() }
  },
  'over channels': async () => {
    const hub = remoteHub({ url: 'memory:' })
    return { a: await hub.join(), b: await hub.join() }
  },
}

for (const [where, pair] of Object.entries(PAIRS)) {
  suite(`workers ${where}`, () => {
    jobsHaveOwners(pair)
    roomIsShared(pair)
    keysAreShared(pair)
    budgetsAndValuesAreShared(pair)
  })
}

test('a worker whose channel is lost is gone at once for the others, and everything it asks is refused', async () => {
  const hub = remoteHub({ url: 'memory:' })
  const { ledger: a, lose } = await hub.joinWithLoss()
  const b = await hub.join()
  const record = aJob()
  const name = selfOf(a)
  await a.insert([{ record }])
  const asked = a.find(record.id)
  lose()
  await assert.rejects(asked, { code: 'ERR_LEDGER' })
  await assert.rejects(a.finish(record.id, anEnd()), { code: 'ERR_LEDGER' })
  assert.deepEqual([a.coordination.membership.isSure, a.health().writable], [false, false])
  await eventually(() => stateOf(b, name)?.state === 'gone')
  assert.deepEqual(await b.claim(name, [record.id]), new Set([record.id]))
})

test('a result that a worker begins to hand over as it dies is dropped', async (t) => {
  const ledger = await ledgerAt(t, 'memory:')
  const begun = Promise.withResolvers<void>()
  const dropped = Promise.withResolvers<void>()
  const receive = ledger.receive.bind(ledger)
  ledger.receive = async (caller) => {
    const received = await receive(caller)
    await begun.promise
    return { ...received, drop: dropped.resolve }
  }
  const hub = await WorkerHub.open(ledger)
  t.after(() => hub.close())
  let onMessage = (_message: unknown): void => {}
  let onClose = (): void => {}
  const port = {
    send: (): void => {},
    listen: (...listeners: [typeof onMessage, typeof onClose]): void => void ([onMessage, onClose] = listeners),
  }
  new MemberServer(hub.join(), port)
  const call: [number, string, ...unknown[]] = [1, 'receive', 1, CALLER]
  onMessage(pack([[call]], 0))
  onClose()
  begun.resolve()
  await dropped.promise
})

test('unfinished jobs of an earlier process belong to a replica that is gone', async (t) => {
  const ledger = await ledgerAt(t, 'memory:')
  const record = aJob()
  await ledger.insert([{ record }])
  const hub = await WorkerHub.open(ledger)
  t.after(() => hub.close())
  const member = hub.join()
  const [former] = member.coordination.membership.replicas
  assert.deepEqual([former?.state, former?.jobs], ['gone', 1])
  assert.deepEqual(await member.claim(former!.replica, [record.id]), new Set([record.id]))
  assert.deepEqual((await member.unfinished()).length, 1)
})

test('the jobs of one worker are read without those of the others', async (t) => {
  const ledger = await ledgerAt(t, 'memory:')
  const hub = await WorkerHub.open(ledger)
  t.after(() => hub.close())
  const [a, b] = [hub.join(), hub.join()]
  await a.insert(Array.from({ length: 300 }, () => ({ record: aJob() })))
  const few = [aJob({ containers: [] }), aJob({ containers: [] })]
  await b.insert(few.map((record) => ({ record, request: Buffer.alloc(50), room: 10_000 })))
  const readAll = t.mock.method(ledger, 'unfinished')
  const find = t.mock.method(ledger, 'find')
  assert.deepEqual(
    await a.ownedBy(selfOf(b)),
    few.map((record) => ({ record, bytes: 352 })),
  )
  assert.deepEqual([readAll.mock.callCount(), find.mock.callCount()], [0, 2])
  assert.equal((await a.unfinished()).length, 300)
  assert.deepEqual(await a.ownedBy('nobody'), [])
})

test('a result that cannot be written before its worker dies is dropped without a word of a change given up', async (t) => {
  const logger = new LogLines()
  const hub = await WorkerHub.open(await sqliteAt(t, await ledgerPath(t), { logger }))
  t.after(() => hub.close())
  const [a, b] = [hub.join(), hub.join()]
  const record = aJob()
  await a.insert([{ record }])
  const received = await a.receive(CALLER)
  await received.add('result', Buffer.from('"late"'))
  // The changes of a job are written one after the other.
  const run = a.startRun(record.id, { ...record, runs: 2 }, 1)
  const end = received.finish(record.id, { state: 'success', finishedAt: Date.now() })
  await a.close()
  assert.deepEqual([await run, await end], [true, false])
  assert.deepEqual(logger.lines, [])
  assert.equal((await b.read(CALLER, [record.id]))[0]?.state, 'running')
})

function selfOf(ledger: SharedLedger): string {
  return ledger.coordination.membership.self
}

function stateOf(ledger: SharedLedger, replica: string): ReplicaState | undefined {
  return ledger.coordination.membership.replicas.find((state) => state.replica === replica)
}

function jobsHaveOwners(pair: (t: Cleanup) => Promise<Pair>): void {
  test('a job belongs to the worker that took it, which alone changes it', async (t) => {
    const { a, b } = await pair(t)
    const record = aJob()
    const run = { ...record, runs: 2 }
    await a.insert([{ record, request: Buffer.from('{}') }])
    assert.equal(await b.ownerOf(record.id), selfOf(a))
    assert.equal(await b.finish(record.id, anEnd()), false)
    assert.equal(await b.startRun(record.id, run, 1), false)
    assert.equal(await b.request(record.id), undefined)
    await b.markLeft(record.id)
    assert.deepEqual(await b.find(record.id), record)
    assert.deepEqual([(await a.unfinished()).length, (await b.unfinished()).length], [1, 0])
    assert.equal(await a.finish(record.id, anEnd()), true)
    assert.equal(await b.ownerOf(record.id), undefined)
    assert.equal((await b.read(CALLER, [record.id]))[0]?.state, 'success')
  })

  test('a job that is claimed has one winner, and its former owner is told', async (t) => {
    const { a, b } = await pair(t)
    const records = [aJob(), aJob()]
    await a.insert(records.map((record) => ({ record })))
    const [first, second] = records.map(({ id }) => id)
    const disowned = once(a.coordination.membership, 'disowned')
    assert.deepEqual(await b.claim(selfOf(a), [first!, 'unknown']), new Set([first]))
    assert.deepEqual(await disowned, [first])
    assert.deepEqual(await b.claim(selfOf(a), [first!]), new Set())
    assert.equal(await a.finish(first!, anEnd()), false)
    assert.equal(await b.finish(first!, anEnd()), true)
    assert.deepEqual(
      (await b.ownedBy(selfOf(a))).map(({ record }) => record.id),
      [second],
    )
  })

  test('jobs of a worker that ends are orphans at once, and its name is forgotten when they are claimed', async (t) => {
    const { a, b } = await pair(t)
    const record = aJob()
    const name = selfOf(a)
    await a.insert([{ record }])
    const seen = once(b.coordination.membership, 'seen')
    await a.close()
    await seen
    const { goneMs, ...state } = stateOf(b, name)!
    assert.deepEqual(state, { replica: name, jobs: 1, state: 'gone' })
    assert.ok(goneMs! >= 0)
    await assert.rejects(a.finish(record.id, anEnd()), { code: 'ERR_LEDGER' })
    assert.deepEqual(await b.claim(name, [record.id]), new Set([record.id]))
    await eventually(() => stateOf(b, name) === undefined)
  })

  test('a worker that leaves is seen as leaving, and its jobs may be claimed', async (t) => {
    const { a, b } = await pair(t)
    const record = aJob()
    await a.insert([{ record }])
    await a.coordination.membership.leave()
    await eventually(() => stateOf(b, selfOf(a))?.state === 'leaving')
    assert.deepEqual(await b.claim(selfOf(a), [record.id]), new Set([record.id]))
  })

  test('a worker that resigns has a new name and none of its jobs', async (t) => {
    const { a, b } = await pair(t)
    const record = aJob()
    const former = selfOf(a)
    await a.insert([{ record }])
    const disowned = once(a.coordination.membership, 'disowned')
    await a.coordination.membership.resign()
    assert.deepEqual(await disowned, [record.id])
    assert.notEqual(selfOf(a), former)
    assert.deepEqual(await a.unfinished(), [])
    await eventually(() => stateOf(b, former)?.state === 'gone')
    assert.equal(stateOf(b, selfOf(a))?.state, 'alive')
  })

  test('an id that is taken stays with its owner', async (t) => {
    const { a, b } = await pair(t)
    const record = aJob()
    await a.insert([{ record }])
    const fresh = aJob()
    await assert.rejects(b.insert([{ record: fresh }, { record }]), { code: 'ERR_DUPLICATE' })
    assert.equal(await b.ownerOf(record.id), selfOf(a))
    assert.equal(await b.ownerOf(fresh.id), undefined)
  })

  test('intermediate results that an owner notes are read by all until the job ends', async (t) => {
    const { a, b } = await pair(t)
    const record = aJob()
    await a.insert([{ record }])
    await a.note(record.id, Buffer.from('[1]'))
    await b.note(record.id, Buffer.from('[2]'))
    const [job] = await b.read(CALLER, [record.id])
    assert.deepEqual([job?.state, String(job?.intermediate as Buffer)], ['running', '[1]'])
    assert.equal((await b.read(CALLER, [record.id], { withIntermediate: false }))[0]?.intermediate, undefined)
    await a.finish(record.id, anEnd())
    assert.equal((await b.read(CALLER, [record.id]))[0]?.intermediate, undefined)
  })
}

function roomIsShared(pair: (t: Cleanup) => Promise<Pair>): void {
  test('room is counted over all workers, and an end gives it back', async (t) => {
    const { a, b } = await pair(t)
    const limits = { ...NO_LIMITS, jobsOfCaller: 2, bytesOfCaller: 1000 }
    const [one, two] = [a.coordination.room, b.coordination.room]
    const record = aJob()
    assert.equal(await one.take(CALLER, { jobs: 1, bytes: 400 }, limits), undefined)
    await a.insert([{ record, room: 400 }])
    assert.deepEqual(await two.take(CALLER, { jobs: 1, bytes: 601 }, limits), {
      reason: 'bytesOfCaller',
      taken: { jobs: 1, bytes: 400 },
    })
    assert.equal(await two.take(CALLER, { jobs: 1, bytes: 600 }, limits), undefined)
    assert.equal((await one.take(CALLER, { jobs: 1, bytes: 0 }, limits))?.reason, 'jobs')
    await a.finish(record.id, anEnd())
    assert.equal(await one.take(CALLER, { jobs: 1, bytes: 400 }, limits), undefined)
    two.giveBack(CALLER, { jobs: 1, bytes: 600 })
    await eventually(async () => (await two.take(CALLER, { jobs: 1, bytes: 600 }, limits)) === undefined)
  })

  test('what a worker held for submissions under way is free when it ends, that of its jobs is not', async (t) => {
    const { a, b } = await pair(t)
    const limits = { ...NO_LIMITS, jobsOfCaller: 3, bytesInAll: 1000 }
    await a.coordination.room.take(CALLER, { jobs: 3, bytes: 900 }, limits)
    await a.insert([{ record: aJob(), room: 300 }])
    assert.equal((await b.coordination.room.take('other', { jobs: 1, bytes: 101 }, limits))?.reason, 'bytesInAll')
    await a.close()
    assert.equal((await b.coordination.room.take(CALLER, { jobs: 3, bytes: 1 }, limits))?.reason, 'jobs')
    assert.equal(await b.coordination.room.take(CALLER, { jobs: 2, bytes: 700 }, limits), undefined)
  })

  test('room of an insertion that fails is held on, for the submission to give back', async (t) => {
    const { a, b } = await pair(t)
    const record = aJob()
    await b.insert([{ record }])
    const limits = { ...NO_LIMITS, jobsOfCaller: 3 }
    await a.coordination.room.take(CALLER, { jobs: 1, bytes: 10 }, limits)
    await assert.rejects(a.insert([{ record: aJob(), room: 10 }, { record }]), { code: 'ERR_DUPLICATE' })
    const refusal = await a.coordination.room.take(CALLER, { jobs: 9, bytes: 0 }, limits)
    assert.deepEqual(refusal?.taken, { jobs: 2, bytes: 10 })
  })

  test('a stream whose client left is no longer one of its jobs', async (t) => {
    const { a, b } = await pair(t)
    const record = aJob({ kind: 'stream' })
    const limits = { ...NO_LIMITS, jobsOfCaller: 1 }
    await a.coordination.room.take(CALLER, { jobs: 1, bytes: 10 }, limits)
    await a.insert([{ record, room: 10 }])
    assert.equal((await b.coordination.room.take(CALLER, { jobs: 1, bytes: 0 }, limits))?.reason, 'jobs')
    await a.markLeft(record.id)
    assert.equal(await b.coordination.room.take(CALLER, { jobs: 1, bytes: 0 }, limits), undefined)
    assert.equal(await a.finish(record.id, anEnd()), true)
    assert.equal((await b.coordination.room.take(CALLER, { jobs: 1, bytes: 0 }, limits))?.taken.jobs, 1)
  })
}

function keysAreShared(pair: (t: Cleanup) => Promise<Pair>): void {
  const use = { caller: CALLER, path: '/api/jobs', key: 'once', bodyHash: Buffer.alloc(32, 7) }

  test('of two who reserve a key at once one runs the request, the other hears its body', async (t) => {
    const { a, b } = await pair(t)
    const turns = await Promise.all([a, b].map((ledger) => ledger.coordination.keys.reserve(use)))
    assert.deepEqual(turns.map(({ kind }) => kind).sort(), ['busy', 'ours'])
    const busy = turns.find((turn) => turn.kind === 'busy')
    assert.deepEqual(busy?.bodyHash, use.bodyHash)
  })

  test('a key is kept once its answer is recorded, and free after a release or the death of its holder', async (t) => {
    const { a, b } = await pair(t)
    assert.equal((await a.coordination.keys.reserve(use)).kind, 'ours')
    await b.coordination.keys.release(use)
    assert.equal((await b.coordination.keys.reserve(use)).kind, 'busy')
    await a.coordination.keys.release(use)
    assert.equal((await b.coordination.keys.reserve(use)).kind, 'ours')
    await b.close()
    assert.equal((await a.coordination.keys.reserve(use)).kind, 'ours')
    await a.insert([{ record: aJob() }], anAnswer())
    assert.equal((await a.coordination.keys.reserve(use)).kind, 'kept')
  })
}

function budgetsAndValuesAreShared(pair: (t: Cleanup) => Promise<Pair>): void {
  test('a budget is exact over all workers, with a quarter of what is left in advance', async (t) => {
    const { a, b } = await pair(t)
    const question = { limit: 'LIMIT', key: CALLER, perMinute: 6, wanted: 1, more: 3 }
    const first = await a.coordination.budgets.take(question)
    assert.deepEqual([first.granted, Math.round(first.usedMs / 1000)], [2, 20])
    assert.equal((await b.coordination.budgets.take({ ...question, wanted: 4, more: 0 })).granted, 4)
    assert.equal((await a.coordination.budgets.take(question)).granted, 0)
    await b.coordination.budgets.giveBack(question, 1)
    assert.equal((await a.coordination.budgets.take({ ...question, more: 0 })).granted, 1)
    assert.equal((await b.coordination.budgets.take({ ...question, key: 'other' })).granted, 2)
  })

  test('values are shared until their time is over, and the first of those that stay stands', async (t) => {
    const { a, b } = await pair(t)
    const [one, two] = [a.coordination.values, b.coordination.values]
    await one.set('home', 'r1', 'service', 60_000)
    await one.set('home', 'r2', Buffer.from([255]), 1)
    assert.equal(String(await two.get('home', 'r1')), 'service')
    await eventually(async () => (await two.get('home', 'r2')) === undefined)
    await two.delete('home', 'r1')
    assert.equal(await one.get('home', 'r1'), undefined)
    assert.deepEqual(
      [await one.setOnce('key', '', 'first'), await two.setOnce('key', '', 'second')],
      ['first', 'first'],
    )
  })
}
