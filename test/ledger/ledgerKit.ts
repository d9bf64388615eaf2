/** Ledgers and logs for the tests of the ledger. */
import { join } from 'node:path'
import type { JobEnd, JobRecord, JobStatus, Ledger } from '../../src/ledger/ledger.ts'
import { LongBytes } from '../../src/ledger/longBytes.ts'
import { openLedger, type LedgerSettings } from '../../src/ledger/open.ts'
import { SqliteLedger, type SqliteLedgerOptions } from '../../src/ledger/sqlite/ledger.ts'
import { aJob, anEnd } from '../kit/builders/jobs.ts'
import { tempDir, type Cleanup } from '../kit/wait.ts'

export const HOUR_MS = 3_600_000
export const DAY_MS = 24 * HOUR_MS

/** A logger that keeps its lines. */
export class LogLines {
  readonly lines: string[] = []
  readonly debug = (message: string): void => this.#add('debug', message)
  readonly info = (message: string): void => this.#add('info', message)
  readonly warn = (message: string): void => this.#add('warn', message)
  readonly error = (message: string): void => this.#add('error', message)

  #add(level: string, message: string): void {
    this.lines.push(`${level} ${message}`)
  }
}

/** All bytes of a result, however it is read. */
export async function wholeOf(bytes: JobStatus['result']): Promise<Buffer> {
  if (bytes === undefined) throw new Error('there is no result')
  if (!(bytes instanceof LongBytes)) return bytes
  const pieces: Buffer[] = []
  for await (const piece of bytes.pieces()) pieces.push(piece)
  return Buffer.concat(pieces)
}

/** Opens a ledger by its URL; it is closed after the test. */
export async function ledgerAt(t: Cleanup, url: string, over: Partial<LedgerSettings> = {}): Promise<Ledger> {
  const ledger = await openLedger({ url, maxBytes: 1e9, ttlSeconds: 86_400, logger: new LogLines(), ...over })
  t.after(() => ledger.close())
  return ledger
}

/** Opens a ledger in a file; it is closed after the test. */
export async function sqliteAt(
  t: Cleanup,
  path: string,
  over: Partial<SqliteLedgerOptions> = {},
): Promise<SqliteLedger> {
  const ledger = await SqliteLedger.open({ path, maxBytes: 1e9, ttlMs: DAY_MS, logger: new LogLines(), ...over })
  t.after(() => ledger.close())
  return ledger
}

export async function unfinishedIn(ledger: Ledger): Promise<JobRecord[]> {
  return (await ledger.unfinished()).map(({ record }) => record)
}

/** A path for a ledger in a directory of its own. */
export async function ledgerPath(t: Cleanup): Promise<string> {
  return join(await tempDir(t), 'gateway.db')
}

/** Inserts `count` jobs and gives them their final state; returns their ids. */
export async function finishedJobs(ledger: Ledger, count: number, end: Partial<JobEnd> = {}): Promise<string[]> {
  const jobs = Array.from({ length: count }, () => ({ record: aJob() }))
  await ledger.insert(jobs)
  await Promise.all(jobs.map(({ record }) => ledger.finish(record.id, anEnd(end))))
  return jobs.map(({ record }) => record.id)
}
