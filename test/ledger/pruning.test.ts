/** Pruning and grouping in the SQLite ledger: what they cost the rest of the gateway. */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { SqliteLedger } from '../../src/ledger/sqlite/ledger.ts'
import { aJob, anEnd } from '../kit/builders/jobs.ts'
import { eventually } from '../kit/wait.ts'
import { finishedJobs, ledgerPath, sqliteAt } from './ledgerKit.ts'

suite('group commit', () => {
  test('what is asked for in one turn is committed together', async (t) => {
    const ledger = await sqliteAt(t, await ledgerPath(t))
    const before = ledger.commits
    await Promise.all(Array.from({ length: 400 }, () => ledger.insert([{ record: aJob() }])))
    assert.equal(ledger.commits - before, 1)
    assert.equal(ledger.health().jobs, 400)
  })

  test('what is asked for while a group is under way forms the next ones', async (t) => {
    const ledger = await sqliteAt(t, await ledgerPath(t))
    const before = ledger.commits
    const oneAfterTheOther = async (): Promise<void> => {
      for (let count = 0; count < 20; count++) {
        const record = aJob()
        await ledger.insert([{ record, request: Buffer.alloc(500) }])
        await ledger.finish(record.id, anEnd())
      }
    }
    await Promise.all(Array.from({ length: 50 }, oneAfterTheOther))
    const commits = ledger.commits - before
    assert.ok(commits <= 100, `2,000 operations took ${commits} commits`)
  })

  test('a taken id in a group refuses only its own insert', async (t) => {
    const ledger = await sqliteAt(t, await ledgerPath(t))
    const taken = aJob()
    await ledger.insert([{ record: taken }])
    const records = [aJob(), taken, aJob()]
    const outcomes = await Promise.allSettled(records.map((record) => ledger.insert([{ record }])))
    assert.deepEqual(
      outcomes.map((outcome) => outcome.status),
      ['fulfilled', 'rejected', 'fulfilled'],
    )
    assert.equal(ledger.health().jobs, 3)
  })
})

suite('a read', () => {
  test('does not wait for writes that were asked for before it', async (t) => {
    const ledger = await sqliteAt(t, await ledgerPath(t))
    const [id] = await finishedJobs(ledger, 1)
    let written = 0
    const writes = Array.from({ length: 5000 }, () => ledger.insert([{ record: aJob() }]).then(() => written++))
    const [job] = await ledger.read('10.0.0.1', [id!])
    assert.ok(written < 2500, `it was answered after ${written} of 5,000 writes`)
    assert.equal(job?.state, 'success')
    await Promise.all(writes)
  })

  test('goes in between the writes of one group', async (t) => {
    const ledger = await sqliteAt(t, await ledgerPath(t))
    const request = Buffer.alloc(16_000)
    const isAnsweredFirst = async (): Promise<boolean> => {
      let isWritten = false
      const before = ledger.commits
      const writes = Promise.all(Array.from({ length: 500 }, () => ledger.insert([{ record: aJob(), request }])))
      void writes.then(() => (isWritten = true))
      // The group is under way by then.
      await nextTurn()
      await nextTurn()
      await ledger.find('unknown')
      const isFirst = !isWritten
      await writes
      assert.ok(ledger.commits - before <= 10)
      return isFirst
    }
    await eventually(isAnsweredFirst)
  })

  test('sees what was acknowledged before it was asked for', async (t) => {
    const ledger = await sqliteAt(t, await ledgerPath(t))
    const oneAfterTheOther = async (): Promise<void> => {
      for (let count = 0; count < 20; count++) {
        const record = aJob()
        await ledger.insert([{ record }])
        assert.equal((await ledger.find(record.id))?.state, 'running')
        await ledger.finish(record.id, anEnd())
        assert.equal((await ledger.find(record.id))?.state, 'success')
      }
    }
    await Promise.all(Array.from({ length: 50 }, oneAfterTheOther))
  })

  test('of a list sees even what was only asked for', async (t) => {
    const ledger = await sqliteAt(t, await ledgerPath(t))
    const record = aJob()
    const inserted = ledger.insert([{ record }])
    const finished = ledger.finish(record.id, anEnd())
    assert.deepEqual(await ledger.list(record.caller, 'finished'), [record.id])
    await Promise.all([inserted, finished])
  })
})

test('pruning 50,000 jobs never holds up the main thread, and jobs are recorded meanwhile', async (t) => {
  const path = await ledgerPath(t)
  const full = await sqliteAt(t, path)
  for (let count = 0; count < 50; count++) await finishedJobs(full, 1000)
  await full.close()

  const ledger = await sqliteAt(t, path, { ttlMs: 1 })
  const longTurn = measureTurns()
  let recordedMeanwhile = 0
  await eventually(() => ledger.health().jobs < 50_000, { withinMs: 20_000 })
  while (ledger.health().jobs > 500 + recordedMeanwhile) {
    await ledger.insert([{ record: aJob() }])
    recordedMeanwhile++
  }
  const longMs = longTurn()
  assert.ok(recordedMeanwhile >= 20, `only ${recordedMeanwhile} jobs were recorded meanwhile`)
  assert.ok(longMs < 20, `three times the main thread worked ${longMs} ms or more at a stretch`)
  assert.equal(await leftAfterPruning(ledger), recordedMeanwhile)
})

async function leftAfterPruning(ledger: SqliteLedger): Promise<number> {
  const running = (await ledger.unfinished()).length
  await eventually(() => ledger.health().jobs === running)
  return running
}

/**
 * The third longest time that the main thread worked without letting go, in ms of its CPU: what other processes of a
 * busy machine take from it does not count, nor do one or two turns that a garbage collection made long.
 */
function measureTurns(): () => number {
  let longestUs = [0, 0, 0]
  let last = process.threadCpuUsage()
  const look = (): void => {
    const used = process.threadCpuUsage(last)
    longestUs = [...longestUs, used.user + used.system].sort((a, b) => b - a).slice(0, 3)
    last = process.threadCpuUsage()
    next = setTimeout(look, 1)
  }
  let next = setTimeout(look, 1)
  return () => {
    clearTimeout(next)
    return longestUs[2]! / 1000
  }
}
