/** Who gives way where more is kept than STATE_MAX_BYTES allows: the caller who keeps most. */
import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { suite, test } from 'node:test'
import { answerBytes, type Ledger } from '../../src/ledger/ledger.ts'
import type { LedgerSettings } from '../../src/ledger/open.ts'
import { aJob, anAnswer, anEnd } from '../kit/builders/jobs.ts'
import { eventually, type Cleanup } from '../kit/wait.ts'
import { ledgerAt, ledgerPath, sqliteAt } from './ledgerKit.ts'

type Open = (t: Cleanup, over?: Partial<LedgerSettings>) => Promise<Ledger>

const LEDGERS: Record<string, Open> = {
  memory: (t, over) => ledgerAt(t, 'memory:', over),
  sqlite: async (t, over) => ledgerAt(t, `sqlite:${await ledgerPath(t)}`, over),
}

for (const [name, open] of Object.entries(LEDGERS)) {
  suite(`the ${name} ledger`, () => {
    test('over the cap takes from the caller who keeps most, oldest first, and leaves the others alone', async (t) => {
      const ledger = await open(t, { maxBytes: 200_000 })
      const small = await keep(ledger, 'small', 5, 1000)
      const middle = await keep(ledger, 'middle', 3, 20_000)
      const large = await keep(ledger, 'large', 30, 20_000)
      await settled(ledger, 200_000)
      assert.deepEqual(await ledger.list('small', 'all'), small)
      assert.deepEqual(await ledger.list('middle', 'all'), middle)
      const left = await ledger.list('large', 'all')
      assert.ok(left.length >= 5 && left.length <= 6, `${left.length} are left`)
      assert.deepEqual(left, large.slice(-left.length))
    })

    test('over the cap those who keep most come down together', async (t) => {
      const ledger = await open(t, { maxBytes: 200_000 })
      for (const caller of ['a', 'b', 'c', 'd']) await keep(ledger, caller, 20, 10_000)
      await settled(ledger, 200_000)
      const counts = await Promise.all(
        ['a', 'b', 'c', 'd'].map(async (caller) => (await ledger.list(caller, 'all')).length),
      )
      assert.ok(Math.min(...counts) >= 4 && Math.max(...counts) <= 5, counts.join())
    })

    test('callers of one IPv6 network count as one', async (t) => {
      const ledger = await open(t, { maxBytes: 200_000 })
      const honest = await keep(ledger, '192.0.2.1', 5, 10_000)
      for (let host = 1; host <= 40; host++) await keep(ledger, `2001:db8::${host.toString(16)}`, 1, 10_000)
      await settled(ledger, 200_000)
      assert.deepEqual(await ledger.list('192.0.2.1', 'all'), honest)
    })

    test('unfinished requests and results on their way count for their caller, but never go', async (t) => {
      const ledger = await open(t, { maxBytes: 200_000 })
      const other = await keep(ledger, 'other', 6, 10_000)
      const mine = await keep(ledger, 'mine', 4, 10_000)
      const running = aJob({ caller: 'mine' })
      await ledger.insert([{ record: running, request: Buffer.alloc(50_000) }])
      const received = await ledger.receive('mine')
      await received.add('result', Buffer.alloc(70_000, 'r'))
      await settled(ledger, 200_000)
      assert.deepEqual(await ledger.list('other', 'all'), other)
      assert.deepEqual(await ledger.list('mine', 'all'), [...mine.slice(-1), running.id])
      assert.equal(await received.finish(running.id, anEnd()), true)
      assert.deepEqual(await ledger.list('mine', 'finished'), [...mine.slice(-1), running.id])
    })

    test('kept answers count with all that they keep, and go after the jobs of their caller', async (t) => {
      const ledger = await open(t, { maxBytes: 50_000 })
      const other = await keep(ledger, 'other', 2, 10_000)
      const mine = await keep(ledger, 'mine', 1, 100)
      const answers = Array.from({ length: 60 }, (_, index) =>
        anAnswer({ caller: 'mine', key: String(index).padStart(250, 'k'), contentType: `text/${'x'.repeat(300)}` }),
      )
      const before = ledger.health().keptBytes
      await ledger.insert([], answers[0])
      assert.equal(ledger.health().keptBytes - before, answerBytes(answers[0]!))
      assert.ok(answerBytes(answers[0]!) > 850)
      for (const answer of answers.slice(1)) await ledger.insert([], answer)
      await settled(ledger, 50_000)
      assert.deepEqual(await ledger.list('other', 'all'), other)
      assert.deepEqual(await ledger.list('mine', 'all'), [])
      assert.notEqual(mine.length, 0)
      const isKept = await Promise.all(
        answers.map(async ({ path, key }) => (await ledger.idempotencyRecord('mine', path, key)) !== undefined),
      )
      const first = isKept.indexOf(true)
      assert.ok(first > 0)
      assert.ok(isKept.slice(first).every(Boolean), 'a later one went before an earlier one')
    })

    test('unfinished jobs come with what they keep', async (t) => {
      const ledger = await open(t)
      const records = Array.from({ length: 1001 }, (_, index) =>
        aJob({ caller: `caller ${index % 3}`, containers: [] }),
      )
      await ledger.insert(records.map((record, index) => ({ record, request: Buffer.alloc(index) })))
      await ledger.finish(records[5]!.id, anEnd())
      const sizes = new Map((await ledger.unfinished()).map(({ record, bytes }) => [record.id, bytes]))
      assert.equal(sizes.size, 1000)
      records.forEach(({ id }, index) => assert.equal(sizes.get(id), index === 5 ? undefined : 302 + index))
    })
  })
}

test('what is kept of each caller is what the rows say, whatever was done before, and nothing when all is gone', async (t) => {
  const path = await ledgerPath(t)
  const ledger = await sqliteAt(t, path, { maxBytes: 6_000_000 })
  const callers = ['a', 'b', '2001:db8::1', '2001:db8::2', '2001:db8:0:1::1']
  for (let round = 0; round < 20; round++) {
    const caller = callers[round % callers.length]!
    const jobs = Array.from({ length: 5 }, () => aJob({ caller }))
    const answer = anAnswer({ caller, key: `key ${round}`, ...(round % 2 === 0 && { node: 'http://n' }) })
    await ledger.insert(
      jobs.map((record) => ({ record, request: Buffer.alloc(1000) })),
      answer,
    )
    await ledger.finish(jobs[0]!.id, anEnd({ intermediate: Buffer.alloc(300) }))
    await ledger.finish(jobs[1]!.id, anEnd({ result: Buffer.alloc(2_500_000) }))
    const received = await ledger.receive(caller)
    await received.add('result', Buffer.alloc(1_000_000))
    await received.add('intermediate', Buffer.alloc(10))
    if (round % 3 === 0) received.drop()
    else await received.finish(jobs[2]!.id, anEnd())
    if (round % 4 === 0) await ledger.receive(caller).then((lost) => lost.add('result', Buffer.alloc(777)))
    await assert.rejects(ledger.insert([{ record: jobs[3]! }]), { code: 'ERR_DUPLICATE' })
  }
  await settled(ledger, 6_000_000)
  await ledger.close()
  assertSums(path)

  const expired = await sqliteAt(t, path, { ttlMs: 1 })
  for (const { record } of await expired.unfinished()) await expired.finish(record.id, anEnd())
  await eventually(() => expired.health().jobs === 0)
  await expired.close()
  assertSums(path)
})

test('where 20,000 callers keep as much the one who keeps more is found at once', async (t) => {
  const maxBytes = 20_000 * 500
  const ledger = await sqliteAt(t, await ledgerPath(t), { maxBytes })
  for (let start = 0; start < 20_000; start += 1000) {
    await keepOneEach(ledger, 1000, (index) => `caller ${start + index}`)
  }
  const before = ledger.health()
  const ids = await keep(ledger, 'greedy', 30, 200_000)
  await settled(ledger, maxBytes)
  const left = await ledger.list('greedy', 'all')
  assert.ok(left.length < ids.length)
  assert.equal(ledger.health().jobs - before.jobs, left.length)
  // And a little at a time where they all have to give way.
  await keepOneEach(ledger, 1000, (index) => `late ${index}`)
  await settled(ledger, maxBytes)
})

/** Lets that many callers keep a small result each. */
async function keepOneEach(ledger: Ledger, count: number, callerOf: (index: number) => string): Promise<void> {
  const jobs = Array.from({ length: count }, (_, index) => ({ record: aJob({ caller: callerOf(index) }) }))
  await ledger.insert(jobs)
  await Promise.all(jobs.map(({ record }) => ledger.finish(record.id, anEnd({ result: Buffer.alloc(100) }))))
}

/** Lets a caller keep `count` results of that length; returns their ids. */
async function keep(ledger: Ledger, caller: string, count: number, length: number): Promise<string[]> {
  const ids: string[] = []
  for (let index = 0; index < count; index++) {
    const record = aJob({ caller })
    await ledger.insert([{ record }])
    await ledger.finish(record.id, anEnd({ result: Buffer.alloc(length, 'r'), finishedAt: Date.now() + ids.length }))
    ids.push(record.id)
  }
  return ids
}

async function settled(ledger: Ledger, maxBytes: number): Promise<void> {
  await eventually(() => ledger.health().keptBytes <= maxBytes)
}

/** Fails unless the sums of a closed ledger are those of its rows. */
function assertSums(path: string): void {
  const db = new DatabaseSync(path, { readOnly: true })
  const rows = (sql: string): unknown[] =>
    db
      .prepare(sql)
      .all()
      .map((row) => ({ ...row }))
  assert.deepEqual(
    rows('SELECT caller, removable, fixed FROM kept ORDER BY caller'),
    rows(`
      SELECT caller, sum(iif(is_removable, bytes, 0)) AS removable, sum(iif(is_removable, 0, bytes)) AS fixed FROM (
        SELECT caller, finished_at IS NOT NULL AS is_removable, 300 + octet_length(containers)
          + ifnull(length(request), 0) + ifnull(length(result), 0) + ifnull(length(intermediate), 0) AS bytes FROM jobs
        UNION ALL SELECT results.caller, job IS NOT NULL, length(bytes) FROM pieces JOIN results ON results.seq = result
        UNION ALL SELECT caller, 1, 300 + octet_length(caller || path || key || content_type || ifnull(node, ''))
          + length(body_hash) + length(body) FROM answers
      ) GROUP BY caller ORDER BY caller`),
  )
  assert.deepEqual(
    rows('SELECT * FROM shares ORDER BY share'),
    rows(
      'SELECT share, sum(removable + fixed) AS bytes, sum(removable) AS removable FROM kept GROUP BY share ORDER BY share',
    ),
  )
  assert.deepEqual(rows('SELECT bytes FROM totals'), rows('SELECT ifnull(sum(bytes), 0) AS bytes FROM shares'))
  db.close()
}
