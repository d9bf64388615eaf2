/** Changes of jobs that a store cannot take at once. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { PendingWrites, type JobChange } from '../../src/ledger/pendingWrites.ts'
import { eventually } from '../kit/wait.ts'
import type { JobRun } from '../../src/ledger/ledger.ts'
import { aJob, anEnd } from '../kit/builders/jobs.ts'
import { LogLines } from './ledgerKit.ts'

/** A store whose disk can be full, or slow. */
class Disk {
  isFull = false
  readonly written: [id: string, change: JobChange][] = []
  #pause: Promise<void> = Promise.resolve()

  /** Writes wait until the function that it returns is called. */
  stall(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#pause = promise
    return resolve
  }

  async write(id: string, change: JobChange): Promise<boolean> {
    const fails = this.isFull
    await this.#pause
    if (fails) throw new Error('full')
    if (this.written.some(([other, { end }]) => other === id && end)) return false
    this.written.push([id, change])
    return true
  }

  isTemporary(): boolean {
    return true
  }

  isWritable(): boolean {
    return !this.isFull
  }

  async probe(): Promise<void> {}
}

const REFUSAL = new Error('it is shutting down')
const aRun = (runs: number): JobRun => ({
  ...{ node: `http://n${runs}`, nodeJobId: 'a', localAddress: '', runStartedAt: 5 },
  runs,
})

function pendingOn(t: TestContext, disk: Disk, maxBytes?: number, maxJobs?: number): PendingWrites {
  const pending = new PendingWrites(disk, new LogLines(), maxBytes, maxJobs)
  t.after(() => pending.close(REFUSAL))
  return pending
}

/** Whether a promise has settled by now. */
async function hasSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  void promise.then(() => (settled = true))
  await nextTurn()
  return settled
}

test('changes that cannot be written are held, seen at once, and written in one piece when that is possible again', async (t) => {
  const disk = new Disk()
  disk.isFull = true
  const pending = pendingOn(t, disk)
  const end = anEnd()
  assert.equal(await pending.change('a', { start: { run: aRun(2), expected: 1 } }), true)
  assert.equal(await pending.change('a', { isLeft: true }), true)
  assert.equal(await pending.change('a', { end }), true)
  assert.equal(await pending.change('a', { end: anEnd() }), false)
  assert.equal(await pending.change('a', { start: { run: aRun(3), expected: 2 } }), false)
  const { state, node, runs, clientGone } = pending.applyToRecord(aJob({ id: 'a' }))
  assert.deepEqual([state, node, runs, clientGone], ['success', 'http://n2', 2, true])
  assert.equal(pending.size, 1)
  disk.isFull = false
  await eventually(() => pending.size === 0)
  assert.deepEqual(disk.written, [['a', { start: { run: aRun(2), expected: 1 }, isLeft: true, end }]])
})

test('beyond its budget of bytes or jobs a change is seen at once too, but settles only when it is written', async (t) => {
  for (const [maxBytes, maxJobs] of [[100], [undefined, 1]]) {
    const disk = new Disk()
    disk.isFull = true
    const pending = pendingOn(t, disk, maxBytes, maxJobs)
    assert.equal(await pending.change('a', { end: anEnd({ result: Buffer.alloc(60) }) }), true)
    const second = pending.change('b', { end: anEnd({ result: Buffer.alloc(60) }) })
    assert.equal(await hasSettled(second), false)
    assert.ok(pending.hasEnded('b'))
    disk.isFull = false
    assert.equal(await second, true)
    assert.deepEqual(
      disk.written.map(([id]) => id),
      ['a', 'b'],
    )
    assert.equal(pending.size, 0)
  }
})

test('a change that fails while a later one of its job is on the way does not overtake it', async (t) => {
  const disk = new Disk()
  const pending = pendingOn(t, disk)
  disk.isFull = true
  const goOn = disk.stall()
  const first = pending.change('a', { start: { run: aRun(2), expected: 1 } })
  disk.isFull = false
  const later = pending.change('a', { start: { run: aRun(3), expected: 2 } })
  const doubled = pending.change('a', { start: { run: aRun(2), expected: 1 } })
  const other = pending.change('b', { isLeft: true })
  goOn()
  assert.deepEqual(await Promise.all([first, later, doubled, other]), [true, true, false, true])
  await eventually(() => pending.size === 0)
  assert.deepEqual(disk.written, [
    ['b', { isLeft: true }],
    ['a', { start: { run: aRun(3), expected: 1 } }],
  ])
})

test('an end that cannot be held waits until it is written, unless another end comes first', async (t) => {
  const disk = new Disk()
  disk.isFull = true
  const pending = pendingOn(t, disk)
  const write = (id: string) => () => disk.write(id, {})
  const [long, late] = [pending.end('a', write('a')), pending.end('b', write('b'))]
  assert.equal(await hasSettled(Promise.race([long, late])), false)
  assert.equal(await pending.change('b', { isLeft: true, end: anEnd() }), true)
  disk.isFull = false
  assert.deepEqual(await Promise.all([long, late]), [true, false])
})

test('what cannot be written before the end is refused to those who wait for it', async (t) => {
  const disk = new Disk()
  disk.isFull = true
  const pending = pendingOn(t, disk, 10)
  const waiting = pending.change('a', { end: anEnd() })
  const received = pending.end('b', () => disk.write('b', {}))
  await nextTurn()
  await Promise.all([
    assert.rejects(waiting, REFUSAL),
    assert.rejects(received, { message: 'full' }),
    pending.close(REFUSAL),
  ])
})

test('a change that waits behind another of its job is written before the end', async (t) => {
  const disk = new Disk()
  const pending = pendingOn(t, disk)
  const goOn = disk.stall()
  const changes = [
    pending.change('a', { start: { run: aRun(2), expected: 1 } }),
    pending.change('a', { isLeft: true }),
    pending.change('a', { end: anEnd() }),
  ]
  const closed = pending.close(REFUSAL)
  goOn()
  assert.deepEqual(await Promise.all(changes), [true, true, true])
  await closed
  assert.deepEqual(
    disk.written.map(([, change]) => Object.keys(change)),
    [['start'], ['isLeft'], ['end']],
  )
})

test('what comes after the end is refused, also for a job of which something is held', async () => {
  const disk = new Disk()
  disk.isFull = true
  const pending = new PendingWrites(disk, new LogLines(), 0)
  assert.equal(await pending.change('held', { isLeft: true }), true)
  await pending.close(REFUSAL)
  for (const id of ['held', 'other']) await assert.rejects(pending.change(id, { end: anEnd() }), REFUSAL)
})

test('an end that cannot be held comes after what is held of its job', async (t) => {
  const disk = new Disk()
  disk.isFull = true
  const pending = pendingOn(t, disk)
  await pending.change('a', { start: { run: aRun(2), expected: 1 } })
  disk.isFull = false
  assert.equal(await pending.end('a', () => disk.write('a', { end: anEnd() })), true)
  assert.deepEqual(
    disk.written.map(([, change]) => Object.keys(change)),
    [['start'], ['end']],
  )
})

test('a change that can never be written is refused, and the log says so', async (t) => {
  const disk = Object.assign(new Disk(), { isTemporary: () => false, isFull: true })
  const lines = new LogLines()
  const pending = new PendingWrites(disk, lines)
  t.after(() => pending.close(REFUSAL))
  await assert.rejects(pending.change('a', { end: anEnd() }), /full/)
  assert.equal(lines.lines.filter((line) => line.includes('a change was given up')).length, 1)
})
