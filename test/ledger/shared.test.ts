/** What every ledger does that several gateways share. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { suite, test } from 'node:test'
import { PIECE_BYTES, type SharedLedger } from '../../src/ledger/ledger.ts'
import type { LedgerSettings } from '../../src/ledger/open.ts'
import type { JobOwner } from '../../src/replicas/index.ts'
import { aJob, anAnswer, anEnd } from '../kit/builders/jobs.ts'
import { eventually, type Cleanup } from '../kit/wait.ts'
import { finishedJobs, wholeOf } from './ledgerKit.ts'
import { SHARED_STORES, SHORT_TIMEOUT, type Handle, type SharedStore } from './sharedStores.ts'

type Open = (t: Cleanup) => Promise<SharedStore>

for (const [name, { missing, open, hasTimeout }] of Object.entries(SHARED_STORES)) {
  suite(`a shared ledger: ${name}`, { skip: missing, concurrency: 4 }, () => {
    jobsHaveOwners(open)
    deadGatewaysAreNoticed(open)
    if (hasTimeout) {
      silentGatewaysAreNoticed(open)
      zombiesAreFenced(open)
    }
    roomIsShared(open)
  })
}

function jobsHaveOwners(open: Open): void {
  test('a job is in the name of the gateway that took it, and all gateways tell of it', async (t) => {
    const { a, b } = await twoOn(await open(t))
    const record = aJob()
    await a.insert([{ record, request: Buffer.from('{}') }])
    assert.equal(await b.ownerOf(record.id), nameOf(a))
    assert.deepEqual(await b.find(record.id), record)
    assert.deepEqual(await b.list(record.caller, 'pending'), [record.id])
    assert.deepEqual([(await a.unfinished()).length, (await b.unfinished()).length], [1, 0])
    assert.deepEqual(await b.ownedBy(nameOf(a)), await a.unfinished())
    assert.deepEqual(await b.unfinished(), [])
    assert.equal(await b.ownerOf('unknown'), undefined)
  })

  test('another gateway changes nothing of a job, is told that it is not its own, and gets no request', async (t) => {
    const { a, b } = await twoOn(await open(t))
    const record = aJob({ kind: 'stream' })
    await a.insert([{ record, request: Buffer.from('{}') }])
    const disowned: string[] = []
    b.coordination.membership.on('disowned', (id) => disowned.push(id))
    assert.equal(await b.finish(record.id, anEnd()), false)
    assert.equal(await b.startRun(record.id, { ...record, node: 'elsewhere', runs: 2 }, 1), false)
    await b.markLeft(record.id)
    await b.note(record.id, Buffer.from('[]'))
    assert.equal(await b.request(record.id), undefined)
    assert.deepEqual(await a.find(record.id), record)
    assert.deepEqual(await a.read(record.caller, [record.id]), [{ id: record.id, state: 'running', node: record.node }])
    assert.equal(disowned.filter((id) => id === record.id).length >= 3, true)
  })

  test('of two who claim a job at once one wins it, and the first end stands', async (t) => {
    const store = await open(t)
    const { a, b } = await twoOn(store)
    const { ledger: c } = await store.handle()
    const records = Array.from({ length: 50 }, () => aJob())
    await a.insert(records.map((record) => ({ record, request: Buffer.from(record.id) })))
    const ids = records.map(({ id }) => id)
    const [ofB, ofC] = await Promise.all([b.claim(nameOf(a), ids), c.claim(nameOf(a), ids)])
    assert.deepEqual([...ofB, ...ofC].sort(), ids.toSorted())
    for (const id of ofB) assert.equal(await b.ownerOf(id), nameOf(b))
    const [one] = [...ofB, ...ofC]
    const owner = ofB.has(one!) ? b : c
    assert.equal(String(await owner.request(one!)), one)
    assert.equal(await a.finish(one!, anEnd({ state: 'failed' })), false)
    assert.equal(await owner.finish(one!, anEnd({ result: Buffer.from('"theirs"') })), true)
    assert.equal(await a.finish(one!, anEnd({ state: 'failed' })), false)
    const [job] = await a.read(records[0]!.caller, [one!])
    assert.deepEqual([job?.state, String(await wholeOf(job?.result))], ['success', '"theirs"'])
    assert.deepEqual(await b.claim(nameOf(a), ids), new Set())
  })

  test('intermediate results are told by all until another run begins', async (t) => {
    const { a, b } = await twoOn(await open(t))
    const record = aJob()
    await a.insert([{ record }])
    await a.note(record.id, Buffer.from('["first"]'))
    await a.note(record.id, Buffer.from('["first", "second"]'))
    const told = async (): Promise<string | undefined> => {
      const [job] = await b.read(record.caller, [record.id])
      return job?.intermediate && String(await wholeOf(job.intermediate))
    }
    assert.equal(await told(), '["first", "second"]')
    const before = a.health().keptBytes
    assert.equal(await a.finish(record.id, anEnd({ result: Buffer.from('1') })), true)
    assert.equal(await told(), undefined)
    assert.ok(a.health().keptBytes < before)
  })

  test('a long result that one gateway received is read by another, in pieces', async (t) => {
    const { a, b } = await twoOn(await open(t))
    const record = aJob()
    await a.insert([{ record }])
    const received = await a.receive(record.caller)
    for (let piece = 0; piece < 3; piece++) await received.add('result', Buffer.alloc(PIECE_BYTES, String(piece)))
    assert.deepEqual(await b.read(record.caller, [record.id]), [{ id: record.id, state: 'running', node: record.node }])
    assert.equal(await received.finish(record.id, { state: 'success', finishedAt: Date.now() }), true)
    const [job] = await b.read(record.caller, [record.id])
    const whole = await wholeOf(job?.result)
    assert.deepEqual([whole.length, whole[0], whole.at(-1)], [3 * PIECE_BYTES, 0x30, 0x32])
  })

  test('two gateways that remove what is too much remove no more than that', async (t) => {
    const store = await open(t)
    const handles = [await store.handle({ maxBytes: 200_000 }), await store.handle({ maxBytes: 200_000 })]
    const [a, b] = handles.map(({ ledger }) => ledger) as [SharedLedger, SharedLedger]
    await Promise.all([a, b].map((ledger) => finishedJobs(ledger, 40, { result: Buffer.alloc(10_000) })))
    await eventually(() => a.health().keptBytes <= 200_000 && b.health().keptBytes <= 200_000)
    const left = await a.list('10.0.0.1', 'all')
    assert.ok(left.length >= 15, `${left.length} are left`)
    await eventually(() => a.health().jobs === left.length)
  })
}

function deadGatewaysAreNoticed(open: Open): void {
  test('a gateway sees itself and the others with the number of their jobs', async (t) => {
    const { a, b } = await twoOn(await open(t))
    await a.insert([{ record: aJob() }, { record: aJob() }])
    await eventually(() => stateOf(b, nameOf(a)) === 'alive 2' && stateOf(a, nameOf(b)) === 'alive 0')
    await a.coordination.membership.leave()
    await eventually(() => stateOf(b, nameOf(a)) === 'leaving 2')
    assert.equal(a.coordination.membership.isSure, true)
  })

  test('a gateway that ends is gone at once, and forgotten when its jobs are claimed', async (t) => {
    const { a, b } = await twoOn(await open(t))
    const record = aJob()
    await a.insert([{ record }])
    const former = nameOf(a)
    await a.close()
    await eventually(() => stateOf(b, former) === 'gone 1')
    assert.deepEqual(await b.claim(former, [record.id]), new Set([record.id]))
    await eventually(() => stateOf(b, former) === undefined)
  })

  test('a gateway that resigns has a new name, and its jobs are orphans', async (t) => {
    const { a, b } = await twoOn(await open(t))
    await a.insert([{ record: aJob() }])
    const former = nameOf(a)
    await a.coordination.membership.resign()
    assert.notEqual(nameOf(a), former)
    await eventually(() => stateOf(b, former) === 'gone 1' && stateOf(b, nameOf(a)) === 'alive 0')
    assert.deepEqual(await a.unfinished(), [])
    await eventually(() => a.coordination.membership.isSure)
  })
}

function silentGatewaysAreNoticed(open: Open): void {
  test('a gateway that is cut off is dead to the others after the timeout, and was not sure before', async (t) => {
    const { a, b, handle } = await twoOn(await open(t), SHORT_TIMEOUT)
    await a.insert([{ record: aJob() }])
    await eventually(() => stateOf(b, nameOf(a)) === 'alive 1')
    handle.cutOff()
    const former = nameOf(a)
    await eventually(() => stateOf(b, former) === 'gone 1')
    assert.equal(a.coordination.membership.isSure, false)
  })
}

function zombiesAreFenced(open: Open): void {
  test('one that was taken for dead begins a new life, claims what is left of its jobs, and is sure only then', async (t) => {
    const { a, b, handle } = await twoOn(await open(t), SHORT_TIMEOUT)
    const [kept, taken] = [aJob(), aJob()]
    await a.insert([{ record: kept }, { record: taken }])
    const former = nameOf(a)
    const claiming = Promise.withResolvers<void>()
    let claimed: ReadonlySet<string> | undefined
    a.coordination.membership.attach({
      ...anOwner(),
      onNewLife: async (old) => {
        assert.equal(old, former)
        await claiming.promise
        claimed = await a.claim(old, [kept.id, taken.id])
      },
    })
    handle.cutOff()
    await eventually(() => stateOf(b, former) === 'gone 2')
    await b.claim(former, [taken.id])
    handle.rejoin()
    await eventually(() => stateOf(b, nameOf(a))?.startsWith('alive') && nameOf(a) !== former)
    assert.equal(a.coordination.membership.isSure, false)
    claiming.resolve()
    await eventually(() => a.coordination.membership.isSure)
    assert.deepEqual(claimed, new Set([kept.id]))
    assert.equal(await a.finish(taken.id, anEnd()), false)
    assert.equal(await a.finish(kept.id, anEnd()), true)
  })

  test('an end that is held is not told, and dropped where the job was taken over meanwhile', async (t) => {
    const { a, b, handle } = await twoOn(await open(t), SHORT_TIMEOUT)
    const record = aJob()
    await a.insert([{ record }])
    const former = nameOf(a)
    handle.cutOff()
    const ending = a.finish(record.id, anEnd({ result: Buffer.from('"of the zombie"') }))
    await eventually(() => a.health().held === 1)
    await assert.rejects(a.read(record.caller, [record.id]), { code: 'ERR_LEDGER' })
    assert.equal((await b.find(record.id))?.state, 'running')
    await eventually(() => stateOf(b, former) === 'gone 1')
    await b.claim(former, [record.id])
    const disowned = once(a.coordination.membership, 'disowned')
    handle.rejoin()
    assert.equal(await ending, false)
    assert.deepEqual(await disowned, [record.id])
    assert.equal(a.health().held, 0)
    assert.equal((await a.find(record.id))?.state, 'running')
  })

  test('an end that is held is written when the store is back in time', async (t) => {
    const { a, b, handle } = await twoOn(await open(t), SHORT_TIMEOUT)
    const record = aJob()
    await a.insert([{ record }])
    handle.cutOff()
    const ending = a.finish(record.id, anEnd())
    await eventually(() => a.health().held === 1)
    handle.rejoin()
    // Taken for dead or not on a slow machine: nobody else claimed the job.
    a.coordination.membership.attach({
      ...anOwner(),
      onNewLife: async (old) => void (await a.claim(old, [record.id])),
    })
    assert.equal(await ending, true)
    assert.equal((await b.find(record.id))?.state, 'success')
  })

  test('a gateway that is cut off takes no jobs: they are refused at once', async (t) => {
    const { a, handle } = await twoOn(await open(t))
    handle.cutOff()
    await eventually(() => !a.health().writable)
    await assert.rejects(a.insert([{ record: aJob() }]), { code: 'ERR_LEDGER' })
    await assert.rejects(a.receive('10.0.0.1'), { code: 'ERR_LEDGER' })
    handle.rejoin()
    await eventually(() => a.health().writable)
    await a.insert([{ record: aJob() }])
  })
}

function roomIsShared(open: Open): void {
  const limits = { jobsOfCaller: 3, bytesOfCaller: 1000, bytesInAll: 10_000 }

  test('room that was taken becomes that of the recorded jobs, and their end gives it back', async (t) => {
    const { a, b } = await twoOn(await open(t))
    const { room } = a.coordination
    const records = [aJob({ caller: 'me' }), aJob({ caller: 'me' }), aJob({ caller: 'me', kind: 'stream' })]
    assert.equal(await room.take('me', { jobs: 3, bytes: 900 }, limits), undefined)
    const full = { reason: 'jobs', taken: { jobs: 3, bytes: 900 } }
    assert.deepEqual(await b.coordination.room.take('me', { jobs: 1, bytes: 0 }, limits), full)
    await a.insert(records.map((record) => ({ record, room: 300 })))
    assert.deepEqual(await b.coordination.room.take('me', { jobs: 1, bytes: 0 }, limits), full)
    // It still runs, but its caller is done with it.
    await a.markLeft(records[2]!.id)
    await a.markLeft(records[2]!.id)
    const taken = { reason: 'bytesOfCaller', taken: { jobs: 2, bytes: 900 } }
    assert.deepEqual(await b.coordination.room.take('me', { jobs: 1, bytes: 101 }, limits), taken)
    for (const { id } of records) assert.equal(await a.finish(id, anEnd()), true)
    assert.equal(await b.coordination.room.take('me', { jobs: 3, bytes: 1000 }, limits), undefined)
  })

  test('what a gateway took for submissions under way is free when it is gone', async (t) => {
    const { a, b } = await twoOn(await open(t))
    assert.equal(await a.coordination.room.take('me', { jobs: 3, bytes: 900 }, limits), undefined)
    await a.close()
    assert.equal(await b.coordination.room.take('me', { jobs: 3, bytes: 900 }, limits), undefined)
  })

  test('a large insert that meets a taken id leaves nothing, and its room is that of a submission again', async (t) => {
    const { a, b } = await twoOn(await open(t))
    const taken = aJob({ caller: 'them' })
    await b.insert([{ record: taken }])
    const records = [...Array.from({ length: 700 }, () => aJob({ caller: 'me' })), { ...taken, caller: 'me' }]
    const many = { jobsOfCaller: 701, bytesOfCaller: 1e6, bytesInAll: 1e6 }
    assert.equal(await a.coordination.room.take('me', { jobs: 701, bytes: 701 }, many), undefined)
    const jobs = records.map((record) => ({ record, room: 1 }))
    await assert.rejects(a.insert(jobs, anAnswer({ caller: 'me' })), { code: 'ERR_DUPLICATE' })
    await eventually(async () => (await b.list('me', 'all')).length === 0)
    assert.equal(await b.idempotencyRecord('me', '/api/jobs', 'once'), undefined)
    await eventually(() => b.health().jobs === 1)
    a.coordination.room.giveBack('me', { jobs: 701, bytes: 701 })
    await eventually(async () => !(await b.coordination.room.take('me', { jobs: 701, bytes: 701 }, many)))
  })

  test('an answer ends the reservation of its key', async (t) => {
    const { a, b } = await twoOn(await open(t))
    const use = { caller: 'me', path: '/api/jobs', key: 'k', bodyHash: Buffer.alloc(32, 1) }
    assert.deepEqual(await a.coordination.keys.reserve(use), { kind: 'ours' })
    assert.equal((await b.coordination.keys.reserve(use)).kind, 'busy')
    await a.insert([{ record: aJob({ caller: 'me' }) }], anAnswer({ caller: 'me', key: 'k' }))
    assert.deepEqual(await b.coordination.keys.reserve(use), { kind: 'kept' })
  })
}

/** Two gateways on one store; `handle` is the first one's. */
async function twoOn(
  store: SharedStore,
  over: Partial<LedgerSettings> = {},
): Promise<{ a: SharedLedger; b: SharedLedger; handle: Handle }> {
  const [handle, other] = [await store.handle(over), await store.handle(over)]
  return { a: handle.ledger, b: other.ledger, handle }
}

function nameOf(ledger: SharedLedger): string {
  return ledger.coordination.membership.self
}

/** How a gateway sees another one: state and number of jobs. */
function stateOf(ledger: SharedLedger, replica: string): string | undefined {
  const seen = ledger.coordination.membership.replicas.find((each) => each.replica === replica)
  return seen && `${seen.state} ${seen.jobs}`
}

function anOwner(): JobOwner {
  return { onNewLife: async () => {}, onHistoryLost: async () => {} }
}
