/** Files of earlier gateways are brought to this one's schema with everything that is in them. */
import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { answerBytes } from '../../src/ledger/ledger.ts'
import { MIGRATIONS, SCHEMA_VERSION } from '../../src/ledger/sqlite/schema.ts'
import { aJob, anAnswer, anEnd } from '../kit/builders/jobs.ts'
import { ledgerPath, sqliteAt, unfinishedIn, wholeOf } from './ledgerKit.ts'
import { writeVersion1 } from './version1.ts'

const versionOf = (path: string): unknown => {
  const db = new DatabaseSync(path, { readOnly: true })
  const row = db.prepare('PRAGMA user_version').get()
  db.close()
  return row?.['user_version']
}

/** Tables with their columns, in no order, and indexes with what they are on. */
const schemaOf = (path: string): unknown => {
  const db = new DatabaseSync(path, { readOnly: true })
  const rowsOf = (sql: string): unknown[] => db.prepare(sql).all()
  const tables = rowsOf(
    `SELECT t.name AS table_name, c.name, c.type, c."notnull", c.pk, t.strict, t.wr
     FROM pragma_table_list AS t JOIN pragma_table_info(t.name) AS c
     WHERE t.schema = 'main' AND t.name NOT LIKE 'sqlite_%' ORDER BY 1, 2`,
  )
  const indexes = rowsOf(`SELECT name, sql FROM sqlite_schema WHERE type = 'index' ORDER BY 1`)
  db.close()
  return { tables, indexes }
}

const keptIn = (path: string): unknown[] => {
  const db = new DatabaseSync(path, { readOnly: true })
  const rows = db.prepare('SELECT * FROM kept ORDER BY caller').all()
  db.close()
  return rows.map((row) => ({ ...row }))
}

test('a file of version 1 is opened with all its jobs, results, answers, counters and totals', async (t) => {
  const path = await ledgerPath(t)
  const finishedAt = Date.now() - 1000
  const running = aJob({ cost: 2.5, containers: ['ä', 'b"c'] })
  const left = aJob({ kind: 'stream', clientGone: true, failover: false })
  const plain = aJob({ state: 'success', finishedAt })
  const large = aJob({ state: 'success', finishedAt, caller: 'another' })
  const failed = aJob({ state: 'failed', finishedAt })
  const request = Buffer.from([0x7b, 0, 0xff, 0x7d])
  const result = Buffer.from('{"output": NaN}')
  const intermediate = Buffer.from('[{"output" : Infinity}]')
  const megabytes = Buffer.from(JSON.stringify('x'.repeat(5e6)))
  writeVersion1(path, [
    { record: running, request },
    { record: left },
    { record: plain, result, intermediate },
    { record: large, result: megabytes },
    { record: failed, result },
  ])

  const ledger = await sqliteAt(t, path)
  const byId = (a: { id: string }, b: { id: string }): number => (a.id < b.id ? -1 : 1)
  assert.deepEqual((await unfinishedIn(ledger)).sort(byId), [running, left].sort(byId))
  for (const record of [running, left, plain, large, failed]) assert.deepEqual(await ledger.find(record.id), record)
  assert.deepEqual(await ledger.request(running.id), request)
  const { node } = plain
  assert.deepEqual(await ledger.read('10.0.0.1', [plain.id, failed.id]), [
    { id: plain.id, state: 'success', node, result, intermediate },
    { id: failed.id, state: 'failed', node, result },
  ])
  const [read] = await ledger.read('another', [large.id])
  assert.ok((await wholeOf(read?.result)).equals(megabytes))
  assert.equal(String((await ledger.idempotencyRecord('10.0.0.1', '/api/jobs', 'once'))?.body), '{"id": "a"}')
  assert.equal(await ledger.nextReqnum('http://w'), 8)
  assert.equal(ledger.health().jobs, 5)

  assert.equal(await ledger.finish(running.id, anEnd()), true)
  await ledger.close()
  assert.equal(versionOf(path), SCHEMA_VERSION)
  const again = await sqliteAt(t, path)
  assert.deepEqual(await again.list('10.0.0.1', 'finished'), [running.id, plain.id, failed.id])
})

test('what each caller keeps is summed up from the jobs of a file of version 1', async (t) => {
  const path = await ledgerPath(t)
  const containers = ['first']
  const finished = { state: 'success', finishedAt: Date.now() } as const
  const row = 300 + JSON.stringify(containers).length
  writeVersion1(path, [
    { record: aJob({ caller: 'a', containers }), request: Buffer.alloc(1000) },
    { record: aJob({ caller: 'a', containers, ...finished }), result: Buffer.alloc(30), intermediate: Buffer.alloc(4) },
    { record: aJob({ caller: 'b', containers, ...finished }), result: Buffer.alloc(7) },
  ])
  const ledger = await sqliteAt(t, path)
  const answer = await ledger.idempotencyRecord('10.0.0.1', '/api/jobs', 'once')
  const kept = [
    { caller: '10.0.0.1', share: '10.0.0.1', removable: answerBytes(answer!), fixed: 0 },
    { caller: 'a', share: 'a', removable: row + 34, fixed: row + 1000 },
    { caller: 'b', share: 'b', removable: row + 7, fixed: 0 },
  ]
  assert.equal(
    ledger.health().keptBytes,
    kept.reduce((sum, { removable, fixed }) => sum + removable + fixed, 0),
  )
  await ledger.close()
  assert.deepEqual(keptIn(path), kept)
})

for (let version = 1; version < SCHEMA_VERSION; version++) {
  test(`a file of version ${version} gets the tables, columns and indexes of a new file, and keeps its jobs`, async (t) => {
    const path = await ledgerPath(t)
    const record = aJob()
    writeVersion1(path, [{ record, request: Buffer.from('again') }])
    const db = new DatabaseSync(path)
    for (const step of MIGRATIONS.slice(0, version - 1)) db.exec(step)
    db.exec(`PRAGMA user_version = ${version}`)
    db.close()
    const ledger = await sqliteAt(t, path)
    assert.deepEqual(await unfinishedIn(ledger), [record])
    assert.equal(String(await ledger.request(record.id)), 'again')
    await ledger.insert([{ record: aJob() }], anAnswer({ key: 'another' }))
    await ledger.close()
    const fresh = await ledgerPath(t)
    await (await sqliteAt(t, fresh)).close()
    assert.deepEqual(schemaOf(path), schemaOf(fresh))
    assert.equal(versionOf(fresh), SCHEMA_VERSION)
  })
}

test('a step that fails leaves the file as it was, and the gateway does not start', async (t) => {
  const path = await ledgerPath(t)
  const record = aJob()
  writeVersion1(path, [{ record }])
  const db = new DatabaseSync(path)
  // Stands in the way of the last statements of the step.
  db.exec('CREATE TABLE kept (theirs)')
  db.close()
  await assert.rejects(sqliteAt(t, path), { code: 'ERR_LEDGER_OPEN', message: /cannot be opened: table kept already/ })
  assert.equal(versionOf(path), 1)
  const mended = new DatabaseSync(path)
  assert.equal(mended.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE name = 'pieces'").get()?.['n'], 0)
  mended.exec('DROP TABLE kept')
  mended.close()
  assert.deepEqual(await unfinishedIn(await sqliteAt(t, path)), [record])
})
