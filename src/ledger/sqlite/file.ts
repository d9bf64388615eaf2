import { closeSync, existsSync, openSync, statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { refuseForeignLog } from './foreignLog.ts'
import { LedgerOpenError } from '../ledger.ts'
import { lockedError } from './lockHolder.ts'
import { logPathOf, refuseMissingLog } from './log.ts'
import { MIGRATIONS, NEWEST_SCHEMA, SCHEMA_VERSION } from './schema.ts'

/** "IGWL": marks the file as a ledger of this gateway and of nobody else. */
const APPLICATION_ID = 0x4947574c
/** Up to this size the whole file is checked at start, which takes up to about half a second. */
const FULL_CHECK_BYTES = 128 * 1024 * 1024
/** How long the rows of a larger file are checked, newest first. */
const ROW_CHECK_MS = 1000

/**
 * Opens the ledger's file for this process alone, or creates it. The lock is the kernel's and ends with the process,
 * however that ends.
 *
 * No other descriptor of the file may ever be closed in this process: POSIX would drop the lock with it.
 *
 * @throws LedgerOpenError if the file is in use, corrupt, not a ledger, newer than this gateway, or cannot be written
 */
export function openFile(path: string, maxPages?: number): DatabaseSync {
  let db: DatabaseSync | undefined
  try {
    const isNew = createIfMissing(path)
    if (!isNew) refuseForeignLog(path)
    // Opening a database makes the log that it lacks.
    const hasLog = existsSync(logPathOf(path))
    db = new DatabaseSync(path, { timeout: 0 })
    lock(db)
    refuseForeignFile(db, path)
    if (!hasLog) refuseMissingLog(db, path)
    if (!isNew) checkIntegrity(db, path)
    // A new file gets its tables before it has a log, so that it is never a file without tables whose log is elsewhere.
    migrate(db)
    db.exec('PRAGMA journal_mode = WAL')
    // With WAL this survives a killed process; a power cut may take the last moments with it.
    db.exec('PRAGMA synchronous = NORMAL')
    // Pages of the index by id are written over and over: they are kept in memory.
    db.exec('PRAGMA cache_size = -16000')
    if (maxPages !== undefined) db.exec(`PRAGMA max_page_count = ${maxPages}`)
    return db
  } catch (error) {
    if (db?.isOpen) db.close()
    throw openError(path, error)
  }
}

/** Takes the file for this connection alone. */
export function lock(db: DatabaseSync): void {
  db.exec('PRAGMA locking_mode = EXCLUSIVE')
  db.exec('BEGIN IMMEDIATE; COMMIT')
}

/** Creates the file for its owner only; true if it is new or empty. */
function createIfMissing(path: string): boolean {
  if (existsSync(path) && statSync(path).size > 0) return false
  // SQLite would delete the log of an empty database, and with it jobs that somebody may still be able to save.
  const log = logPathOf(path)
  if (existsSync(log) && statSync(log).size > 0) {
    throw new LedgerOpenError(
      `STATE_URL: ${path} is missing or empty, but its log ${log} holds jobs; restore the file, or move the log away`,
    )
  }
  if (!existsSync(path)) closeSync(openSync(path, 'wx', 0o600))
  return true
}

/** @throws LedgerOpenError for a database of something else, or of a newer gateway */
export function refuseForeignFile(db: DatabaseSync, path: string): void {
  const applicationId = numberOf(db, 'PRAGMA application_id')
  const tables = numberOf(db, 'SELECT count(*) FROM sqlite_schema')
  if (applicationId !== APPLICATION_ID && (applicationId !== 0 || tables > 0 || versionOf(db) !== 0)) {
    throw new LedgerOpenError(`STATE_URL: ${path} is a database of something else; name another file`)
  }
  const version = versionOf(db)
  if (version > SCHEMA_VERSION) {
    throw new LedgerOpenError(
      `STATE_URL: ${path} was written by a newer gateway (its version is ${version}, this gateway knows ${SCHEMA_VERSION}); start that one, or name another file`,
    )
  }
}

/**
 * Small files are checked whole. For large ones that would take too long: there the newest rows are read until the time
 * is over; damage elsewhere shows when it is met. A file shorter than it should be is noticed at any size.
 */
function checkIntegrity(db: DatabaseSync, path: string): void {
  if (statSync(path).size <= FULL_CHECK_BYTES) {
    const [problem] = Object.values(db.prepare('PRAGMA quick_check(1)').get() ?? {})
    // The first line of a problem names the database, which is not worth telling.
    if (problem !== 'ok') throw corrupt(path, String(problem).split('\n').at(-1)!)
    return
  }
  const tables =
    numberOf(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'pieces'") > 0 ? ['jobs', 'pieces'] : ['jobs']
  for (const table of tables) {
    const until = performance.now() + ROW_CHECK_MS / tables.length
    for (const _row of db.prepare(`SELECT * FROM ${table} ORDER BY seq DESC`).iterate()) {
      if (performance.now() > until) break
    }
  }
}

/** Brings the file to this gateway's version, each step in a transaction of its own with the version that it reaches. */
function migrate(db: DatabaseSync): void {
  const step = (sql: string, version: number): void => {
    const marks = `PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${version};`
    db.exec(`BEGIN IMMEDIATE; ${sql} ${marks} COMMIT`)
  }
  if (versionOf(db) === 0) step(NEWEST_SCHEMA, SCHEMA_VERSION)
  for (let version = versionOf(db); version < SCHEMA_VERSION; version++) step(MIGRATIONS[version - 1]!, version + 1)
}

function versionOf(db: DatabaseSync): number {
  return numberOf(db, 'PRAGMA user_version')
}

function numberOf(db: DatabaseSync, sql: string): number {
  return Number(Object.values(db.prepare(sql).get() ?? {})[0])
}

function corrupt(path: string, detail: string): LedgerOpenError {
  return new LedgerOpenError(
    `STATE_URL: ${path} is corrupt (${detail}); it was left as it is: restore a copy, or move it away to start without the jobs in it`,
  )
}

/** What to tell the operator about an error while the file was opened. */
export function openError(path: string, error: unknown): LedgerOpenError {
  if (error instanceof LedgerOpenError) return error
  const message = (error as Error).message
  switch (sqliteCode(error)) {
    case SQLITE.BUSY:
      return lockedError(path)
    case SQLITE.CORRUPT:
    case SQLITE.NOTADB:
      return corrupt(path, message)
    case SQLITE.FULL:
      return new LedgerOpenError(`STATE_URL: ${path} cannot be written: the disk is full`)
    default:
      return new LedgerOpenError(`STATE_URL: ${path} cannot be opened: ${message}`, { cause: error })
  }
}

/** Primary result codes, from sqlite3.h. */
export const SQLITE = {
  BUSY: 5,
  READONLY: 8,
  CORRUPT: 11,
  FULL: 13,
  TOOBIG: 18,
  CONSTRAINT: 19,
  MISMATCH: 20,
  MISUSE: 21,
  RANGE: 25,
  NOTADB: 26,
} as const

/** What is wrong with one operation; all other codes tell of the disk or the file. */
export const INVALID_CODES: ReadonlySet<number> = new Set([
  SQLITE.TOOBIG,
  SQLITE.CONSTRAINT,
  SQLITE.MISMATCH,
  SQLITE.MISUSE,
  SQLITE.RANGE,
])

/** SQLite's primary result code; `undefined` for an error of another origin. */
export function sqliteCode(error: unknown): number | undefined {
  const { errcode } = error as { errcode?: unknown }
  return typeof errcode === 'number' ? errcode & 0xff : undefined
}
