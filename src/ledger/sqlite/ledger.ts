import { fitsQuery } from '../browse.ts'
import { dirname, resolve } from 'node:path'
import { Semaphore } from '../../base/semaphore.ts'
import type { Logger } from '../../base/logger.ts'
import { steadyClock } from '../../base/steadyClock.ts'
import { ANSWERS, bufferOf, JOBS, RUN_FIELDS } from './columns.ts'
import { makeFolder } from './folder.ts'
import { PendingWrites, type JobChange } from '../pendingWrites.ts'
import {
  ledgerFault,
  resultGone,
  JOB_OVERHEAD_BYTES,
  LedgerOpenError,
  PIECE_BYTES,
  type JobEnd,
  type JobFilter,
  type JobRecord,
  type JobRun,
  type JobStatus,
  type IdempotencyRecord,
  type Ledger,
  type LedgerHealth,
  type LedgerLimits,
  type NewJob,
  type ReadOptions,
  type ReceivedResult,
  type UnfinishedJob,
  type JobsPage,
  type JobsQuery,
} from '../ledger.ts'
import type { PortableState } from '../portable.ts'
import { LongBytes } from '../longBytes.ts'
import { wayOutOf } from './log.ts'
import { SqlitePortableState } from './portable.ts'
import { RecentEnds } from './recentEnds.ts'
import { SqliteReceivedResult, type FinishReceived } from './received.ts'
import type { ReadBytes } from './resultReader.ts'
import { INTERMEDIATE_PART, RESULT_PART } from './results.ts'
import type { Operation } from './operations.ts'
import type { SqliteStore } from './store.ts'
import { SqliteThread, StoreError } from './thread.ts'
import { SqliteUsage } from './usage.ts'
import { SqliteValues } from './values.ts'
import { FILE_GONE, type StoreReport, type Value } from './wire.ts'

/** No client waits for changes, so they may wait for something to share a commit with. */
const PATIENT = { patienceMs: 10 }
/** Rows for each step of a walk over many jobs, so that other operations go in between. */
const PAGE = 1000
/** Pieces of results that are read at once: whatever else is asked of the thread waits behind these at most. */
const MAX_PIECE_READS = 8
/** What a read takes for each job, as a guess. */
const READ_BYTES = 4096

export interface SqliteLedgerOptions extends LedgerLimits {
  readonly path: string
  readonly logger: Logger
  /** Ceiling for the file in pages of 4096 bytes; stands in for a full disk. */
  readonly maxPages?: number
}

/** Keeps jobs in one SQLite file, which belongs to this process alone. */
export class SqliteLedger implements Ledger {
  readonly shared = undefined
  readonly values: SqliteValues
  readonly usage: SqliteUsage
  readonly #path: string
  readonly #logger: Logger
  readonly #pending: PendingWrites
  readonly #pieceReads = new Semaphore(MAX_PIECE_READS)
  readonly #recent = new RecentEnds()
  readonly #ttlMs: number
  #thread!: SqliteThread
  #report: StoreReport = [0, 0, 0, false, null, null, []]
  /** Why nothing can be written; `undefined` while it can. */
  #reason: string | undefined

  private constructor(path: string, logger: Logger, ttlMs: number) {
    this.#path = path
    this.#logger = logger
    this.#ttlMs = ttlMs
    const store = {
      write: this.#write,
      isTemporary: (error: unknown) => error instanceof StoreError && error.isStoreFault,
      isWritable: () => this.#reason === undefined,
      probe: () => this.probe(),
    }
    this.#pending = new PendingWrites(store, logger)
    this.values = new SqliteValues(this.#call)
    this.usage = new SqliteUsage(this.#call)
  }

  /**
   * Opens the file, or creates it and the folders above it for this user only. A full disk does not stop this where the
   * file exists: jobs that it knows are followed on.
   *
   * @throws LedgerOpenError
   */
  static async open({ path, logger, ...settings }: SqliteLedgerOptions): Promise<SqliteLedger> {
    const file = resolve(path)
    await makeFolder(dirname(file)).catch((cause: Error) => {
      throw new LedgerOpenError(`STATE_URL: ${dirname(file)} cannot be created: ${cause.message}`, { cause })
    })
    const ledger = new SqliteLedger(file, logger, settings.ttlMs)
    ledger.#thread = await SqliteThread.start(
      { path: file, ...settings },
      {
        onReport: (report) => ledger.#onReport(report),
        onWarning: (warning) => logger.warn(`ledger: ${warning}`),
        onDeath: (error) => ledger.#onDeath(error),
      },
    )
    await ledger.probe()
    return ledger
  }

  /** Commits since the file was opened: how well operations share them. */
  get commits(): number {
    return this.#report[2]
  }

  async unfinished(): Promise<UnfinishedJob[]> {
    const found: UnfinishedJob[] = []
    let after: [caller: string, seq: number] = ['', 0]
    for (;;) {
      const rows = await this.#call('unfinished', ...after, PAGE)
      for (const [seq, bytes, ...row] of rows) {
        const record = JOBS.itemOf(row)
        after = [record.caller, seq]
        const now = this.#pending.applyToRecord(record)
        if (now.state === 'running') found.push({ record: now, bytes: JOB_OVERHEAD_BYTES + bytes })
      }
      if (rows.length < PAGE) return found
    }
  }

  async insert(jobs: readonly NewJob[], answer?: IdempotencyRecord): Promise<void> {
    if (this.#thread.isOverloaded) throw ledgerFault('its disk does not keep up')
    for (const { record } of jobs) this.#recent.delete(record.id)
    const rows = jobs.map(({ record, request }) => [JOBS.rowOf(record), request ?? null] as const)
    await this.#call('insert', rows, answer ? ANSWERS.rowOf(answer) : null)
  }

  startRun(id: string, run: JobRun, expected: number): Promise<boolean> {
    return this.#change(id, { start: { run, expected } })
  }

  async markLeft(id: string): Promise<void> {
    await this.#change(id, { isLeft: true })
  }

  finish(id: string, end: JobEnd): Promise<boolean> {
    return this.#change(id, { end })
  }

  async receive(caller: string): Promise<ReceivedResult> {
    const finish: FinishReceived = (id, end, isWanted = () => true) => {
      const write = async (): Promise<boolean> => isWanted() && this.#thread.call('finishReceived', [id, ...end])
      return this.#pending.end(id, write).catch(this.#throwFault)
    }
    return new SqliteReceivedResult(this.#call, finish, await this.#call('receive', caller))
  }

  async request(id: string): Promise<Buffer | undefined> {
    const bytes = await this.#call('request', id)
    return bytes && !this.#pending.hasEnded(id) ? bufferOf(bytes) : undefined
  }

  async read(
    caller: string,
    ids: readonly string[],
    { withIntermediate = true, inlineBytes = PIECE_BYTES }: ReadOptions = {},
  ): Promise<JobStatus[]> {
    const recent = this.#readRecent(caller, ids, withIntermediate, inlineBytes)
    if (recent) return recent
    const replyBytes = Math.min(ids.length * READ_BYTES, inlineBytes)
    const rows = await this.#ask('read', [caller, ids, withIntermediate, inlineBytes], replyBytes)
    return rows.map(([id, state, node, resultBytes, intermediateBytes]) => {
      const result = this.#bytesOf(id, RESULT_PART, resultBytes)
      const intermediate = this.#bytesOf(id, INTERMEDIATE_PART, intermediateBytes)
      const status = { id, state, node, ...(result && { result }), ...(intermediate && { intermediate }) }
      return this.#pending.applyToStatus(status, withIntermediate)
    })
  }

  /** The jobs, where all of them ended a moment ago: then the thread need not be asked. */
  #readRecent(
    caller: string,
    ids: readonly string[],
    withIntermediate: boolean,
    inlineBytes: number,
  ): JobStatus[] | undefined {
    const expired = steadyClock.expiryMs() - this.#ttlMs
    const found: JobStatus[] = []
    let left = inlineBytes
    for (const id of ids) {
      const end = this.#recent.get(id)
      if (!end) return undefined
      if (end.caller !== caller || end.finishedAt <= expired) continue
      const { state, node, result } = end
      const intermediate = withIntermediate ? end.intermediate : undefined
      left -= result.length + (intermediate?.length ?? 0)
      if (left < 0) return undefined
      found.push({ id, state, node, result, ...(intermediate && { intermediate }) })
    }
    return found
  }

  async find(id: string): Promise<JobRecord | undefined> {
    const row = await this.#call('find', id)
    return row ? this.#pending.applyToRecord(JOBS.itemOf(row)) : undefined
  }

  async browse(query: JobsQuery): Promise<JobsPage> {
    const { caller = '', state = '', node = '', container = '', after, limit } = query
    const [rows, next] = await this.#call('browse', caller, [state, node, container], Number(after ?? 0), limit)
    const jobs = rows.map((row) => this.#pending.applyToRecord(JOBS.itemOf(row)))
    return { jobs: jobs.filter((job) => fitsQuery(job, query)), next: next === 0 ? undefined : String(next) }
  }

  async list(caller: string, filter: JobFilter): Promise<string[]> {
    const wanted: string[] = []
    let seq = 0
    do {
      const [ids, isFinished, lastSeq] = await this.#call('list', caller, filter === 'pending', seq, PAGE)
      ids.forEach((id, index) => {
        const ended = isFinished[index] || this.#pending.hasEnded(id)
        if (filter === 'all' || ended === (filter === 'finished')) wanted.push(id)
      })
      seq = lastSeq
    } while (seq > 0)
    return wanted
  }

  async idempotencyRecord(caller: string, path: string, key: string): Promise<IdempotencyRecord | undefined> {
    const row = await this.#call('idempotencyRecord', caller, path, key)
    return row ? ANSWERS.itemOf(row) : undefined
  }

  nextReqnum(worker: string): Promise<number> {
    return this.#call('nextReqnum', worker)
  }

  /** All that is kept, for `--copy-state`. */
  portable(): PortableState {
    return new SqlitePortableState(this.#call)
  }

  health(): LedgerHealth {
    const [keptBytes, jobs] = this.#report
    const reason = this.#reason
    return { writable: reason === undefined, ...(reason && { reason }), keptBytes, jobs, held: this.#pending.size }
  }

  async probe(): Promise<boolean> {
    try {
      await this.#thread.call('probe', [])
      return true
    } catch {
      return false
    }
  }

  async close(): Promise<void> {
    await this.#pending.close(ledgerFault('it is shutting down'))
    await this.#thread.close()
    this.#recent.clear()
  }

  #bytesOf(id: string, part: number, [bytes, length]: ReadBytes): Buffer | LongBytes | undefined {
    if (bytes) return bufferOf(bytes)
    if (length < 0) return undefined
    const read = async (index: number): Promise<Buffer | undefined> => {
      const piece = await this.#pieceReads.run(() => this.#ask('piece', [id, part, index], PIECE_BYTES))
      return piece ? bufferOf(piece) : undefined
    }
    return new LongBytes(length, read, resultGone)
  }

  readonly #call = <Name extends Operation>(name: Name, ...args: Parameters<SqliteStore[Name]>): Promise<Value<Name>> =>
    this.#ask(name, args)

  #ask<Name extends Operation>(name: Name, args: Parameters<SqliteStore[Name]>, replyBytes = 0): Promise<Value<Name>> {
    return this.#thread.call(name, args, { replyBytes }).catch(this.#throwFault)
  }

  readonly #throwFault = (error: unknown): never => {
    if (!(error instanceof StoreError)) throw error
    throw ledgerFault(error.isStoreFault ? (this.#reason ?? 'its disk reports an error') : error.message, error)
  }

  #change(id: string, change: JobChange): Promise<boolean> {
    return this.#pending.change(id, change).catch(this.#throwFault)
  }

  /** Writes a change of a job in one group; false if its last part does not apply to the job. */
  readonly #write = (id: string, { start, isLeft, end }: JobChange): Promise<boolean> => {
    const parts: Promise<boolean>[] = []
    if (start) {
      const { run, expected } = start
      parts.push(this.#thread.call('startRun', [id, JOBS.valuesOf(run, RUN_FIELDS), expected], PATIENT))
    }
    if (isLeft) parts.push(this.#thread.call('markLeft', [id], PATIENT))
    if (end) parts.push(this.#finish(id, end))
    return parts.length === 1 ? parts[0]! : Promise.all(parts).then((outcomes) => outcomes.at(-1)!)
  }

  async #finish(id: string, end: JobEnd): Promise<boolean> {
    const { state, result, intermediate } = end
    const finishedAt = Math.trunc(end.finishedAt)
    const args = [id, state, finishedAt, result, intermediate ?? null] as const
    const job = await this.#thread.call('finish', [...args], PATIENT)
    if (!job) return false
    const [caller, node] = job
    this.#recent.add(id, { caller, node, state, finishedAt, result, intermediate })
    return true
  }

  #onReport(report: StoreReport): void {
    const [, , , hasRoom, writeFailure, pruneFailure, removed] = report
    for (const id of removed) this.#recent.delete(id)
    if (pruneFailure !== null && pruneFailure !== this.#report[5]) {
      this.#logger.error('ledger: old jobs cannot be removed', { error: pruneFailure })
    }
    this.#report = report
    if (writeFailure !== null) this.#becomeUnwritable(writeFailure)
    else if (hasRoom && this.#reason !== undefined) {
      this.#reason = undefined
      this.#logger.info('ledger: jobs can be recorded again', { held: this.#pending.size })
    }
  }

  #onDeath(error: Error): void {
    this.#becomeUnwritable('it has stopped')
    this.#logger.error('ledger: its thread has ended', { error: error.message })
  }

  #becomeUnwritable(reason: string): void {
    if (this.#reason !== reason) {
      this.#logger.error(`ledger: jobs cannot be recorded: ${reason}`, { file: this.#path })
      if (reason === FILE_GONE) this.#logger.error(wayOutOf(this.#path))
    }
    this.#reason = reason
    this.#pending.keepTrying()
  }
}
