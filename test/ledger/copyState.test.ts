/** Moving a ledger to another store: everything that clients and nodes rely on is the same there. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { copyFile, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { suite, test } from 'node:test'
import { copyState } from '../../src/ledger/copyState/index.ts'
import type { JobStatus, Ledger } from '../../src/ledger/ledger.ts'
import { aJob, anAnswer, anEnd } from '../kit/builders/jobs.ts'
import { tempDir } from '../kit/wait.ts'
import { LogLines, sqliteAt, unfinishedIn, wholeOf } from './ledgerKit.ts'

const CALLERS = ['10.0.0.1', 'key:abc', '2001:db8::1']
const MEGABYTE = 1024 * 1024

const copy = (from: string, to: string) =>
  copyState({ from: `sqlite:${from}`, to: `sqlite:${to}`, logger: new LogLines() })

/** Bytes that no text holds, different for each seed. */
const bytesOf = (length: number, seed: number): Buffer =>
  Buffer.alloc(
    length,
    Uint8Array.from({ length: 251 }, (_, i) => i * seed + seed),
  )

/** Jobs of every kind: unfinished with and without a request, finished with short and long results, streams, and what else is kept. */
async function fill(ledger: Ledger): Promise<void> {
  const streams = { kind: 'stream', failover: false } as const
  for (const [index, caller] of CALLERS.entries()) {
    const of = { caller, clientAddress: `10.0.1.${index}`, containers: ['prepare', 'llm'], cost: index + 0.5 }
    const jobs = [
      { record: aJob({ ...of, runs: 2 }), request: bytesOf(5000, 3 + index) },
      { record: aJob(of) },
      { record: aJob({ ...of, ...streams, clientGone: true }) },
      ...Array.from({ length: 30 }, () => ({ record: aJob(of), request: bytesOf(50, 7) })),
      { record: aJob({ ...of, ...streams }) },
    ]
    await ledger.insert(jobs, anAnswer({ caller, key: `key-${index}`, body: bytesOf(300, index + 1) }))
    const ids = jobs.map(({ record }) => record.id)
    for (const [n, id] of ids.slice(3, 30).entries()) {
      await ledger.finish(id, anEnd({ result: bytesOf(n * 400, n + 1), finishedAt: Date.now() - n * 1000 }))
    }
    await ledger.finish(
      ids[30]!,
      anEnd({ state: 'failed', result: Buffer.from('{"error":"x"}'), intermediate: Buffer.from('[]') }),
    )
    await ledger.finish(ids[31]!, anEnd({ result: bytesOf(2.5 * MEGABYTE, 5), intermediate: Buffer.alloc(0) }))
    await finishInPieces(ledger, caller, ids[32]!)
    for (let n = 0; n <= index; n++) await ledger.nextReqnum(`http://10.1.0.${index}:4000`)
  }
}

async function finishInPieces(ledger: Ledger, caller: string, id: string): Promise<void> {
  const received = await ledger.receive(caller)
  for (let n = 0; n < 12; n++) await received.add('result', bytesOf(MEGABYTE, n + 1))
  await received.add('intermediate', Buffer.from('[1]'))
  await received.finish(id, { state: 'success', finishedAt: Date.now() })
}

/** All that can be asked of a ledger. */
async function contentsOf(ledger: Ledger): Promise<object> {
  const callers = await Promise.all(
    CALLERS.map(async (caller) => {
      const ids = await ledger.list(caller, 'all')
      const statuses = await ledger.read(caller, ids)
      return {
        caller,
        ids,
        pending: await ledger.list(caller, 'pending'),
        records: await Promise.all(ids.map((id) => ledger.find(id))),
        requests: await Promise.all(ids.map((id) => ledger.request(id))),
        statuses: await Promise.all(statuses.map(wholeStatus)),
        answer: await ledger.idempotencyRecord(caller, '/api/jobs', `key-${CALLERS.indexOf(caller)}`),
      }
    }),
  )
  const unfinished = (await unfinishedIn(ledger)).map(({ id }) => id).sort()
  return { callers, unfinished, jobs: ledger.health().jobs }
}

async function wholeStatus({ result, intermediate, ...rest }: JobStatus): Promise<object> {
  return {
    ...rest,
    result: result && (await wholeOf(result)),
    intermediate: intermediate && (await wholeOf(intermediate)),
  }
}

suite('a copy of a ledger', () => {
  test('has the same jobs, requests, results, answers, numbers and key, also after the way back', async (t) => {
    const folder = await tempDir(t)
    const at = (name: string): string => join(folder, name, 'gateway.db')
    const source = await sqliteAt(t, at('one'))
    await fill(source)
    const before = await contentsOf(source)
    await source.close()
    await writeFile(join(folder, 'one', 'ticket-key.pem'), 'a private key')
    const expected = { jobs: 102, unfinished: 12, answers: 3, reqnums: 3, hasTicketKey: true }
    assert.deepEqual(await copy(at('one'), at('two')), expected)
    assert.deepEqual(await copy(at('two'), at('three')), expected)
    const copied = await sqliteAt(t, at('three'))
    assert.deepEqual(await contentsOf(copied), before)
    for (const index of CALLERS.keys()) {
      assert.equal(await copied.nextReqnum(`http://10.1.0.${index}:4000`), index + 2)
    }
    const key = join(folder, 'three', 'ticket-key.pem')
    assert.equal(await readFile(key, 'utf8'), 'a private key')
    for (const file of [key, at('three')]) assert.equal((await stat(file)).mode & 0o777, 0o600)
  })

  test('holds what has expired or is too much as well: the gateway removes that, by its own settings', async (t) => {
    const folder = await tempDir(t)
    const [from, to] = [join(folder, 'from.db'), join(folder, 'to.db')]
    const source = await sqliteAt(t, from)
    const { record } = { record: aJob() }
    await source.insert([{ record }])
    await source.finish(record.id, anEnd({ finishedAt: Date.now() - 20 * 24 * 3_600_000 }))
    await source.close()
    assert.equal((await copy(from, to)).jobs, 1)
    const patient = await sqliteAt(t, to, { ttlMs: 30 * 24 * 3_600_000 })
    assert.deepEqual(await patient.list('10.0.0.1', 'all'), [record.id])
  })

  test('is refused where there is nothing, something, another key, or a gateway', async (t) => {
    const folder = await tempDir(t)
    const at = (name: string): string => join(folder, name)
    const refused = (from: string, to: string, why: RegExp): Promise<void> =>
      assert.rejects(copy(at(from), at(to)), (error: Error) => {
        assert.match(error.message, why)
        assert.ok(!error.message.includes('\n'))
        return true
      })
    await refused('none.db', 'to.db', /none\.db does not exist: there is nothing to copy/)
    assert.deepEqual(await readdir(folder), [])
    const source = await sqliteAt(t, at('from.db'))
    await refused('from.db', 'to.db', /from\.db is in use by another gateway/)
    await source.close()
    await refused('from.db', 'from.db', /from\.db exists already: move it away/)
    await writeFile(at('to.db-wal'), '')
    await refused('from.db', 'to.db', /to\.db-wal exists already/)
    await writeFile(at('ticket-key.pem'), 'a key')
    const elsewhere = join(await tempDir(t), 'to.db')
    await writeFile(join(dirname(elsewhere), 'ticket-key.pem'), 'another key')
    await assert.rejects(copy(at('from.db'), elsewhere), /ticket-key\.pem holds another ticket key: move it away/)
    assert.deepEqual(await readdir(dirname(elsewhere)), ['ticket-key.pem'])
    for (const url of ['memory:', 'nonsense']) {
      await assert.rejects(copyState({ from: url, to: `sqlite:${at('to2.db')}`, logger: new LogLines() }))
    }
    assert.ok(!existsSync(at('to2.db')))
  })

  test('that did not end is no ledger, and is refused until it is removed', async (t) => {
    const folder = await tempDir(t)
    const [from, to] = [join(folder, 'from.db'), join(folder, 'to.db')]
    await (await sqliteAt(t, from)).close()
    // As a kill in the middle leaves it.
    await copyFile(from, `${to}.incomplete`)
    await assert.rejects(
      copy(from, to),
      /to\.db\.incomplete is left of a copy that did not end: remove it and copy again/,
    )
    assert.ok(!existsSync(to))
  })
})
