/** A disk that is full or broken: new jobs are refused, running ones go on, and a healed disk is noticed. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { Ledger } from '../../src/ledger/ledger.ts'
import { aJob, anEnd } from '../kit/builders/jobs.ts'
import { eventually } from '../kit/wait.ts'
import { ledgerPath, LogLines, sqliteAt, unfinishedIn, wholeOf } from './ledgerKit.ts'

const PAGES = 200

test('a full store refuses new jobs with a clear fault, and tells', async (t) => {
  const logger = new LogLines()
  const ledger = await sqliteAt(t, await ledgerPath(t), { maxPages: PAGES, logger })
  const { refusal } = await fill(ledger)
  assert.equal(refusal.code, 'ERR_LEDGER')
  assert.equal(refusal.message, 'The gateway cannot record jobs at the moment: its disk is full')
  const { writable, reason } = ledger.health()
  assert.deepEqual({ writable, reason }, { writable: false, reason: 'its disk is full' })
  await assert.rejects(ledger.insert([{ record: aJob(), request: Buffer.alloc(10_000) }]), { code: 'ERR_LEDGER' })
  assert.deepEqual(logger.lines, ['error ledger: jobs cannot be recorded: its disk is full'])
})

test('one job that does not fit fails alone, not the others of its group', async (t) => {
  const ledger = await sqliteAt(t, await ledgerPath(t), { maxPages: PAGES })
  const records = Array.from({ length: 5 }, () => aJob())
  const inserts = records.map((record, index) =>
    ledger.insert([{ record, request: Buffer.alloc(index === 2 ? 1e6 : 10) }]),
  )
  const outcomes = await Promise.allSettled(inserts)
  assert.deepEqual(
    outcomes.map((outcome) => outcome.status),
    ['fulfilled', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
  )
  assert.deepEqual(
    await ledger.list('10.0.0.1', 'all'),
    [0, 1, 3, 4].map((index) => records[index]!.id),
  )
  assert.equal(ledger.health().jobs, 4)
})

test('jobs that run go on while nothing can be written: all reads see it, and it is written later', async (t) => {
  const path = await ledgerPath(t)
  const ledger = await sqliteAt(t, path, { maxPages: PAGES })
  const { ids } = await fill(ledger)
  const [ended, moved, left, ...others] = ids as [string, string, string, ...string[]]
  const big = Buffer.alloc(60_000, 'r')
  const intermediate = Buffer.from('[1]')

  assert.equal(await ledger.finish(ended, anEnd({ result: big, intermediate })), true)
  assert.equal(await ledger.finish(ended, anEnd()), false)
  const late = { node: 'late', nodeJobId: 'late', localAddress: '', runs: 2, runStartedAt: 1 }
  assert.equal(await ledger.startRun(ended, late, 1), false)
  const run = { node: 'http://n2', nodeJobId: 'm'.repeat(30_000), localAddress: '::1', runs: 2, runStartedAt: 5 }
  assert.equal(await ledger.startRun(moved, run, 1), true)
  assert.equal(await ledger.startRun(moved, run, 1), false)
  await ledger.markLeft(left)
  assert.equal(ledger.health().writable, false)
  assert.ok(ledger.health().held >= 2)

  const check = async (ledger: Ledger): Promise<void> => {
    const node = 'http://10.1.0.1:4000'
    const [status] = await ledger.read('10.0.0.1', [ended])
    assert.ok((await wholeOf(status?.result)).equals(big))
    assert.deepEqual({ ...status, result: '' }, { id: ended, state: 'success', node, result: '', intermediate })
    assert.deepEqual(await ledger.list('10.0.0.1', 'finished'), [ended])
    assert.deepEqual(await ledger.list('10.0.0.1', 'pending'), [moved, left, ...others])
    assert.equal(await ledger.request(ended), undefined)
    assert.equal((await ledger.find(ended))?.state, 'success')
    const { nodeJobId, runs } = (await ledger.find(moved))!
    assert.deepEqual([nodeJobId, runs], [run.nodeJobId, 2])
    assert.equal((await ledger.find(left))?.clientGone, true)
    assert.equal((await ledger.unfinished()).length, 2 + others.length)
  }
  await check(ledger)

  const freed = others.splice(0, 60)
  for (const id of freed) await ledger.finish(id, anEnd({ result: Buffer.from('1') }))
  await eventually(() => ledger.health().writable && ledger.health().held === 0)
  await ledger.close()
  const again = await sqliteAt(t, path)
  assert.deepEqual((await again.list('10.0.0.1', 'finished')).sort(), [ended, ...freed].sort())
  const [status] = await again.read('10.0.0.1', [ended])
  assert.ok((await wholeOf(status?.result)).equals(big))
  assert.equal((await again.find(moved))?.nodeJobId, run.nodeJobId)
})

test('a run that could not be written at first never undoes a later one', async (t) => {
  const path = await ledgerPath(t)
  const ledger = await sqliteAt(t, path, { maxPages: PAGES })
  const { ids } = await fill(ledger)
  const [moved, ...others] = ids as [string, ...string[]]
  const long = { node: 'http://n2', nodeJobId: 'm'.repeat(30_000), localAddress: '', runs: 2, runStartedAt: 5 }
  const short = { ...long, node: 'http://n3', nodeJobId: 'm', runs: 3 }
  assert.deepEqual(await Promise.all([ledger.startRun(moved, long, 1), ledger.startRun(moved, short, 2)]), [true, true])
  const nodeOf = async (ledger: Ledger): Promise<unknown> => (await ledger.find(moved))?.node
  assert.equal(await nodeOf(ledger), short.node)
  for (const id of others.splice(0, 60)) await ledger.finish(id, anEnd({ result: Buffer.from('1') }))
  await eventually(() => ledger.health().writable && ledger.health().held === 0)
  assert.equal(await nodeOf(ledger), short.node)
  await ledger.close()
  assert.equal(await nodeOf(await sqliteAt(t, path)), short.node)
})

test('a disk on which there is room again is noticed without new jobs', async (t) => {
  const disk = await smallDisk(t, '3m')
  if (!disk) return
  const filler = join(disk, 'filler')
  const ledger = await sqliteAt(t, join(disk, 'gateway.db'))
  await writeFile(filler, Buffer.alloc(1_500_000))
  const { refusal, ids } = await fill(ledger)
  assert.match(refusal.message, /its disk is full$/)
  const result = Buffer.alloc(500_000, 'r')
  assert.equal(await ledger.finish(ids[0]!, anEnd({ result })), true)
  assert.equal(await ledger.probe(), false)
  await rm(filler)
  await eventually(() => ledger.health().writable && ledger.health().held === 0)
  await ledger.insert([{ record: aJob() }])
  await ledger.close()
  const [status] = await (await sqliteAt(t, join(disk, 'gateway.db'))).read('10.0.0.1', [ids[0]!])
  assert.ok((await wholeOf(status?.result)).equals(result))
})

test('a gateway starts on a full disk with the jobs it had', async (t) => {
  const disk = await smallDisk(t, '2m')
  if (!disk) return
  const path = join(disk, 'gateway.db')
  const first = await sqliteAt(t, path)
  const record = aJob()
  await first.insert([{ record }])
  await first.close()
  await writeFile(join(disk, 'filler'), Buffer.alloc(2e6)).catch(() => {})
  const ledger = await sqliteAt(t, path)
  assert.equal(ledger.health().writable, false)
  assert.deepEqual(await unfinishedIn(ledger), [record])
})

test('a new ledger on a full disk is refused', async (t) => {
  const disk = await smallDisk(t, '64k')
  if (!disk) return
  await writeFile(join(disk, 'filler'), Buffer.alloc(64 * 1024)).catch(() => {})
  const refusal = { code: 'ERR_LEDGER_OPEN', message: /cannot be (written: the disk is full|opened for writing)/ }
  await assert.rejects(sqliteAt(t, join(disk, 'gateway.db')), refusal)
})

test('a read-only disk is refused at start', async (t) => {
  const disk = await smallDisk(t, '2m')
  if (!disk) return
  const path = join(disk, 'gateway.db')
  await (await sqliteAt(t, path)).close()
  assert.equal(spawnSync('mount', ['-o', 'remount,ro', disk]).status, 0)
  await assert.rejects(sqliteAt(t, path), { code: 'ERR_LEDGER_OPEN', message: /cannot be opened/ })
  const fresh = sqliteAt(t, join(disk, 'fresh.db'))
  await assert.rejects(fresh, { code: 'ERR_LEDGER_OPEN', message: /cannot be opened/ })
})

test('a file that turns read-only under a running gateway refuses new jobs until it is writable again', async (t) => {
  const path = await ledgerPath(t)
  const ledger = await sqliteAt(t, path)
  const record = aJob()
  await ledger.insert([{ record }])
  const setImmutable = (flag: '+i' | '-i'): boolean =>
    spawnSync('chattr', [flag, path, `${path}-wal`], { stdio: 'ignore' }).status === 0
  if (!setImmutable('+i')) return t.skip('files cannot be made immutable here')
  try {
    await assert.rejects(ledger.insert([{ record: aJob() }]), { code: 'ERR_LEDGER' })
    assert.equal(await ledger.finish(record.id, anEnd()), true)
    assert.deepEqual(await ledger.list(record.caller, 'finished'), [record.id])
    assert.equal(ledger.health().writable, false)
  } finally {
    setImmutable('-i')
  }
  await eventually(() => ledger.health().writable && ledger.health().held === 0)
})

/** Inserts jobs until the ledger refuses one. */
async function fill(ledger: Ledger): Promise<{ ids: string[]; refusal: Error & { code?: string } }> {
  const ids: string[] = []
  for (;;) {
    const record = aJob()
    try {
      await ledger.insert([{ record, request: Buffer.alloc(7000, 'q') }])
      ids.push(record.id)
    } catch (refusal) {
      return { ids, refusal: refusal as Error }
    }
  }
}

/** A disk of that size, in memory; skips the test where none can be mounted. */
async function smallDisk(t: TestContext, size: string): Promise<string | undefined> {
  const path = await mkdtemp(join(tmpdir(), 'gateway-test-'))
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', path])
  t.after(async () => {
    spawnSync('umount', ['-l', path])
    await rm(path, { recursive: true })
  })
  if (mounted.status === 0) return path
  t.skip('disks cannot be mounted here')
  return undefined
}
