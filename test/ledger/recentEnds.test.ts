/** Jobs that have just ended are answered from memory. */
import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { suite, test } from 'node:test'
import type { JobStatus, Ledger } from '../../src/ledger/ledger.ts'
import { LongBytes } from '../../src/ledger/longBytes.ts'
import { RecentEnds, type RecentEnd } from '../../src/ledger/sqlite/recentEnds.ts'
import { aJob, anEnd } from '../kit/builders/jobs.ts'
import { eventually } from '../kit/wait.ts'
import { finishedJobs, ledgerPath, sqliteAt } from './ledgerKit.ts'

const CALLER = '10.0.0.1'
const MINUTE_MS = 60_000

/** What a read tells within this turn, so without a word with the thread; `undefined` if it does not. */
async function readAtOnce(
  ledger: Ledger,
  ids: readonly string[],
  caller = CALLER,
  options = {},
): Promise<JobStatus[] | undefined> {
  let told: JobStatus[] | undefined
  const reading = ledger.read(caller, ids, options).then((jobs) => (told = jobs))
  for (let count = 0; count < 20; count++) await Promise.resolve()
  const atOnce = told
  await reading
  return atOnce
}

suite('a job that has just ended', () => {
  test('is told from memory, byte by byte, with its intermediate results where they are wanted', async (t) => {
    const ledger = await sqliteAt(t, await ledgerPath(t))
    const { id, node } = await endedJob(ledger)
    const [result, intermediate] = [Buffer.from('{"output": NaN}'), Buffer.from('[Infinity]')]
    assert.deepEqual(await readAtOnce(ledger, [id]), [{ id, state: 'success', node, result, intermediate }])
    const brief = { withIntermediate: false }
    assert.deepEqual(await readAtOnce(ledger, [id], CALLER, brief), [{ id, state: 'success', node, result }])
  })

  test('is told as the thread tells it', async (t) => {
    const path = await ledgerPath(t)
    const first = await sqliteAt(t, path)
    const { id } = await endedJob(first)
    const fromMemory = await readAtOnce(first, [id])
    await first.close()
    assert.deepEqual(await (await sqliteAt(t, path)).read(CALLER, [id]), fromMemory)
  })

  test('is told to its caller only', async (t) => {
    const ledger = await sqliteAt(t, await ledgerPath(t))
    const { id } = await endedJob(ledger)
    assert.deepEqual(await readAtOnce(ledger, [id], 'another'), [])
  })

  test('is asked for in the file together with jobs that are not in memory', async (t) => {
    const ledger = await sqliteAt(t, await ledgerPath(t))
    const { id } = await endedJob(ledger)
    const running = aJob()
    await ledger.insert([{ record: running }])
    assert.equal(await readAtOnce(ledger, [id, running.id]), undefined)
    const jobs = await ledger.read(CALLER, [id, running.id, 'unknown'])
    assert.deepEqual(
      jobs.map(({ state }) => state),
      ['success', 'running'],
    )
  })

  test('is not told any more once its time is over', async (t) => {
    const ledger = await sqliteAt(t, await ledgerPath(t), { ttlMs: MINUTE_MS })
    const [id] = await finishedJobs(ledger, 1, { finishedAt: Date.now() - MINUTE_MS - 1 })
    assert.deepEqual(await ledger.read(CALLER, [id!]), [])
  })

  test('is not told any more once it was removed because too much is kept', async (t) => {
    const ledger = await sqliteAt(t, await ledgerPath(t), { maxBytes: 50_000 })
    const result = Buffer.alloc(10_000)
    const [id] = await finishedJobs(ledger, 1, { result, finishedAt: Date.now() - 1000 })
    assert.equal((await readAtOnce(ledger, [id!]))?.length, 1)
    await finishedJobs(ledger, 5, { result })
    await eventually(async () => (await ledger.find(id!)) === undefined)
    assert.deepEqual(await ledger.read(CALLER, [id!]), [])
  })

  test('is told on when the file is gone', async (t) => {
    const path = await ledgerPath(t)
    const ledger = await sqliteAt(t, path)
    const { id } = await endedJob(ledger)
    await rm(path)
    await eventually(() => !ledger.health().writable)
    assert.equal((await readAtOnce(ledger, [id]))?.length, 1)
  })

  test('whose results are long comes in pieces', async (t) => {
    const ledger = await sqliteAt(t, await ledgerPath(t))
    const [id] = await finishedJobs(ledger, 1, { result: Buffer.alloc(2000) })
    const [job] = await ledger.read(CALLER, [id!], { inlineBytes: 1000 })
    assert.ok(job?.result instanceof LongBytes)
  })

  test('is not told after the ledger was closed', async (t) => {
    const ledger = await sqliteAt(t, await ledgerPath(t))
    const { id } = await endedJob(ledger)
    await ledger.close()
    await assert.rejects(ledger.read(CALLER, [id]), { code: 'ERR_LEDGER' })
  })
})

suite('ends in memory', () => {
  test('take no more bytes than allowed: the oldest go first', () => {
    const recent = new RecentEnds(100_000)
    for (let count = 0; count < 1000; count++) {
      recent.add(String(count), anEndOf(1000))
      assert.ok(recent.bytes <= 100_000)
    }
    assert.ok(recent.bytes > 40_000)
    assert.ok(recent.get('999'))
    assert.equal(recent.get('900'), undefined)
  })

  test('that are long do not take the room of others', () => {
    const recent = new RecentEnds()
    recent.add('short', anEndOf(10))
    recent.add('long', anEndOf(300_000))
    assert.equal(recent.get('long'), undefined)
    assert.ok(recent.get('short'))
  })

  test('take nothing once they are removed', () => {
    const recent = new RecentEnds()
    recent.add('one', anEndOf(10))
    recent.add('two', anEndOf(10))
    recent.delete('one')
    recent.delete('unknown')
    assert.equal(recent.get('one'), undefined)
    recent.delete('two')
    assert.equal(recent.bytes, 0)
  })

  test('are forgotten within a minute, though none came since', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const recent = new RecentEnds()
    recent.add('one', anEndOf(10))
    t.mock.timers.tick(MINUTE_MS / 2)
    assert.ok(recent.get('one'))
    t.mock.timers.tick(MINUTE_MS / 2)
    assert.equal(recent.get('one'), undefined)
    assert.equal(recent.bytes, 0)
  })

  test('keep nothing else of the message alive that they came in', () => {
    const recent = new RecentEnds()
    const message = Buffer.alloc(100_000, 'm')
    recent.add('one', { ...anEndOf(0), result: message.subarray(10, 30), intermediate: message.subarray(40, 45) })
    message.fill(0)
    const { result, intermediate } = recent.get('one')!
    assert.deepEqual([String(result), String(intermediate)], ['m'.repeat(20), 'm'.repeat(5)])
    assert.deepEqual([result.buffer.byteLength, intermediate?.buffer.byteLength], [20, 5])
  })
})

async function endedJob(ledger: Ledger): Promise<{ readonly id: string; readonly node: string }> {
  const record = aJob()
  await ledger.insert([{ record }])
  const end = anEnd({ result: Buffer.from('{"output": NaN}'), intermediate: Buffer.from('[Infinity]') })
  assert.equal(await ledger.finish(record.id, end), true)
  assert.equal(await ledger.finish(record.id, anEnd({ state: 'failed' })), false)
  return record
}

function anEndOf(length: number): RecentEnd {
  return { caller: CALLER, node: 'n', state: 'success', finishedAt: Date.now(), result: Buffer.alloc(length) }
}
