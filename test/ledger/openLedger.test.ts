/** Which ledgers are opened and which are refused, with what words. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { access, mkdir, open, readFile, truncate, writeFile } from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'
import { suite, test } from 'node:test'
import { openLedger } from '../../src/ledger/open.ts'
import { SCHEMA_VERSION } from '../../src/ledger/sqlite/schema.ts'
import { aJob } from '../kit/builders/jobs.ts'
import { type Cleanup } from '../kit/wait.ts'
import { finishedJobs, ledgerAt, ledgerPath, LogLines, sqliteAt } from './ledgerKit.ts'

const PAGE_BYTES = 4096
const REDIS_FORM = 'it is written redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE][?prefix=NAME]'

suite('STATE_URL', () => {
  const refusals: Record<string, string> = {
    'redis://user:secret@a,b': `STATE_URL: redis: takes one host: lists of a cluster or of Sentinels are not supported; ${REDIS_FORM}`,
    'postgres://u:secret@h/db': 'STATE_URL: postgres: is not known; allowed are sqlite:FILE, memory: and redis://HOST',
    'data/gateway.db': 'STATE_URL: it begins with no scheme; allowed are sqlite:FILE, memory: and redis://HOST',
    '': 'STATE_URL: it begins with no scheme; allowed are sqlite:FILE, memory: and redis://HOST',
    'memory:somewhere': 'STATE_URL: memory: takes no path',
    'sqlite:': 'STATE_URL: sqlite: needs a file, as in sqlite:data/gateway.db',
    'sqlite::memory:': 'STATE_URL: sqlite: needs a file, as in sqlite:data/gateway.db',
    'sqlite://data/gateway.db': 'STATE_URL: sqlite: needs a file, as in sqlite:data/gateway.db',
  }
  for (const [url, message] of Object.entries(refusals)) {
    test(`"${url}" is refused with what is allowed`, async () => {
      const opening = openLedger({ url, maxBytes: 1e9, ttlSeconds: 60, logger: new LogLines() })
      await assert.rejects(opening, { code: 'ERR_LEDGER_OPEN', message })
    })
  }

  test('a path is taken as it stands, or from a URL with an empty host', async (t) => {
    const path = await ledgerPath(t)
    for (const url of [`sqlite:${path}`, `SQLite://${path}`]) {
      const ledger = await ledgerAt(t, url)
      await ledger.insert([{ record: aJob() }])
      await ledger.close()
    }
    assert.equal((await ledgerAt(t, `sqlite:${path}`)).health().jobs, 2)
  })
})

suite('a file that cannot be used is refused and left as it is', () => {
  test('bytes that are no database', async (t) => {
    const path = await ledgerPath(t)
    await writeFile(path, Buffer.alloc(50_000, 'nonsense'))
    await refusedUntouched(t, path, /is corrupt \(file is not a database\); it was left as it is/)
  })

  test('a truncated file', async (t) => {
    const path = await filledLedger(t)
    await truncate(path, 20 * PAGE_BYTES)
    await refusedUntouched(t, path, /is corrupt/)
  })

  test('a file cut within its first page', async (t) => {
    const path = await filledLedger(t)
    await truncate(path, 1000)
    await refusedUntouched(t, path, /is corrupt/)
  })

  for (const table of ['jobs', 'jobs_by_id', 'jobs_finished', 'sqlite_schema']) {
    test(`a damaged page of ${table}`, async (t) => {
      const path = await filledLedger(t)
      await damage(path, pageOf(path, table))
      await refusedUntouched(t, path, /is corrupt/)
    })
  }

  test('a damaged page among the newest rows of a large file', async (t) => {
    const path = await ledgerPath(t)
    const ledger = await sqliteAt(t, path)
    for (let count = 0; count < 7; count++) await finishedJobs(ledger, 1, { result: Buffer.alloc(20e6, 'x') })
    await ledger.close()
    const pages = (await readFile(path)).length / PAGE_BYTES
    await damage(path, pages - 10)
    await refusedUntouched(t, path, /is corrupt/)
  })

  test('a log without its database', async (t) => {
    const path = await ledgerPath(t)
    await writeFile(`${path}-wal`, 'jobs')
    const opening = sqliteAt(t, path)
    await assert.rejects(opening, {
      code: 'ERR_LEDGER_OPEN',
      message: /is missing or empty, but its log .*-wal holds jobs/,
    })
    assert.equal(await readFile(`${path}-wal`, 'utf8'), 'jobs')
    await assert.rejects(access(path))
  })

  test('a database of something else', async (t) => {
    const path = await ledgerPath(t)
    const db = new DatabaseSync(path)
    db.exec('CREATE TABLE theirs (a)')
    db.close()
    await refusedUntouched(t, path, /is a database of something else; name another file/)
  })

  test('a ledger of a newer gateway', async (t) => {
    const path = await filledLedger(t)
    const db = new DatabaseSync(path)
    db.exec(`PRAGMA user_version = ${SCHEMA_VERSION + 1}`)
    db.close()
    const versions = `its version is ${SCHEMA_VERSION + 1}, this gateway knows ${SCHEMA_VERSION}`
    await refusedUntouched(t, path, new RegExp(`was written by a newer gateway \\(${versions}\\)`))
  })

  test('a ledger without one of its tables', async (t) => {
    const path = await filledLedger(t)
    const db = new DatabaseSync(path)
    db.exec('DROP TABLE totals')
    db.close()
    await refusedUntouched(t, path, /cannot be opened: no such table: totals$/)
  })

  test('a directory', async (t) => {
    const path = await ledgerPath(t)
    await mkdir(path)
    await assert.rejects(sqliteAt(t, path), { code: 'ERR_LEDGER_OPEN', message: /cannot be opened/ })
  })

  test('a folder that cannot be made', async (t) => {
    const path = await ledgerPath(t)
    await writeFile(path, '')
    await assert.rejects(sqliteAt(t, `${path}/gateway.db`), { code: 'ERR_LEDGER_OPEN', message: /cannot be created/ })
  })

  test('a folder below one that takes none', { skip: process.platform !== 'linux' }, async (t) => {
    const message = /^STATE_URL: \/proc\/none\/below cannot be created/
    await assert.rejects(sqliteAt(t, '/proc/none/below/gateway.db'), { code: 'ERR_LEDGER_OPEN', message })
  })
})

test('an empty file is a new ledger', async (t) => {
  const path = await ledgerPath(t)
  await writeFile(path, '')
  const ledger = await sqliteAt(t, path)
  await ledger.insert([{ record: aJob() }])
  assert.equal(ledger.health().jobs, 1)
})

async function filledLedger(t: Cleanup): Promise<string> {
  const path = await ledgerPath(t)
  const ledger = await sqliteAt(t, path)
  await finishedJobs(ledger, 500, { result: Buffer.alloc(500, 'x') })
  await ledger.close()
  return path
}

/** One of the pages of a table or index, counted from 0. */
function pageOf(path: string, table: string): number {
  const db = new DatabaseSync(path, { readOnly: true })
  const row = db.prepare('SELECT max(pageno) AS page FROM dbstat WHERE name = ?').get(table)
  db.close()
  return Number(row?.['page']) - 1
}

async function damage(path: string, page: number): Promise<void> {
  const file = await open(path, 'r+')
  await file.write(Buffer.alloc(PAGE_BYTES, 0xff), 0, PAGE_BYTES, page * PAGE_BYTES)
  await file.close()
}

async function refusedUntouched(t: Cleanup, path: string, words: RegExp): Promise<void> {
  const digest = async (): Promise<string> =>
    createHash('sha256')
      .update(await readFile(path))
      .digest('hex')
  const before = await digest()
  await assert.rejects(sqliteAt(t, path), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'ERR_LEDGER_OPEN')
    assert.match(error.message, words)
    assert.ok(error.message.startsWith(`STATE_URL: ${path} `) && !error.message.includes('\n'), error.message)
    return true
  })
  assert.equal(await digest(), before)
}
