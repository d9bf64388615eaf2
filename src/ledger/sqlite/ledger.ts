import { dirname, resolve } from 'node:path'
import { Semaphore } from '../../base/semaphore.ts'
import type { Logger } from '../../base/logger.ts'
import { makeFolder } from './folder.ts'
import { bytesOf, HeldChanges, type JobChange } from '../held.ts'
import {
  ledgerFault,
  resultGone,
  LedgerOpenError,
  PIECE_BYTES,
  type JobEnd,
  type JobFilter,
  type JobRecord,
  type JobRun,
  type JobStatus,
  type KeptAnswer,
  type Ledger,
  type LedgerHealth,
  type LedgerLimits,
  type NewJob,
  type ReadOptions,
  type ReceivedResult,
} from '../ledger.ts'
import { LongBytes } from '../longBytes.ts'
import { wayOutOf } from './log.ts'
import { SqliteReceivedResult } from './received.ts'
import { INTERMEDIATE_PART, RESULT_PART } from './results.ts'
import { SqliteThread, StoreError, type BuildOp } from './thread.ts'
import {
  FILE_GONE,
  answerOf,
  answerRowOf,
  changeOp,
  recordOf,
  rowOf,
  unpack,
  type AnswerValue,
  type JobRow,
  type ListValue,
  type PackedBytes,
  type ReadBytes,
  type ReadValue,
  type SizesValue,
  type StoreReport,
  type UnfinishedValue,
} from './wire.ts'

/** How often an unwritable store is tried again. */
const RETRY_EVERY_MS = 2000
/** No client waits for changes, so they may wait for something to share a commit with. */
const CHANGE_PATIENCE_MS = 10
/** Held changes that are tried at once. */
const HELD_BATCH = 100
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
  readonly #path: string
  readonly #logger: Logger
  readonly #held = new HeldChanges()
  readonly #pieceReads = new Semaphore(MAX_PIECE_READS)
  #thread!: SqliteThread
  #report: StoreReport = [0, 0, 0, false, null, null]
  /** Why nothing can be written; `undefined` while it can. */
  #reason: string | undefined
  #retrying: NodeJS.Timeout | undefined
  #isWritingHeld = false
  #isClosing = false

  private constructor(path: string, logger: Logger) {
    this.#path = path
    this.#logger = logger
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
    const ledger = new SqliteLedger(file, logger)
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

  async unfinished(): Promise<JobRecord[]> {
    const records: JobRecord[] = []
    let caller = ''
    let seq = 0
    for (;;) {
      const after: [string, number] = [caller, seq]
      const [rows, ...last] = await this.#ask<UnfinishedValue>(() => ['unfinished', ...after, PAGE])
      for (const row of rows) {
        const record = this.#held.applyToRecord(recordOf(row))
        if (record.state === 'running') records.push(record)
      }
      if (rows.length < PAGE) return records
      ;[caller, seq] = last
    }
  }

  async unfinishedSizes(): Promise<ReadonlyMap<string, number>> {
    const sizes = new Map<string, number>()
    let page: SizesValue = [[], '', 0]
    do {
      const [, ...after] = page
      page = await this.#ask<SizesValue>(() => ['unfinishedSizes', ...after, PAGE])
      for (const [id, bytes] of page[0]) sizes.set(id, bytes)
    } while (page[0].length === PAGE)
    return sizes
  }

  insert(jobs: readonly NewJob[], answer?: KeptAnswer): Promise<void> {
    if (this.#thread.isOverloaded) return Promise.reject(ledgerFault('its disk does not keep up'))
    let bytes = answer?.body.length ?? 0
    for (const { request } of jobs) bytes += request?.length ?? 0
    return this.#ask<void>(
      (packer) => [
        'insert',
        jobs.map(({ record, request }) => [rowOf(record), packer.add(request)]),
        answer ? [answerRowOf(answer), packer.add(answer.bodyHash), packer.add(answer.body)] : null,
      ],
      bytes,
    )
  }

  async rerun(id: string, run: JobRun): Promise<void> {
    await this.#change(id, { run })
  }

  async markLeft(id: string): Promise<void> {
    await this.#change(id, { isLeft: true })
  }

  finish(id: string, end: JobEnd): Promise<boolean> {
    return this.#change(id, { end })
  }

  async receive(caller: string): Promise<ReceivedResult> {
    const seq = await this.#ask<number>(() => ['receive', caller])
    return new SqliteReceivedResult((build, bytes) => this.#ask(build, bytes), seq)
  }

  async request(id: string): Promise<Buffer | undefined> {
    const packed = await this.#ask<PackedBytes | null>(() => ['request', id])
    return packed && !this.#held.get(id)?.end ? unpack(packed, 0) : undefined
  }

  async read(
    caller: string,
    ids: readonly string[],
    { withIntermediate = true, inlineBytes = PIECE_BYTES }: ReadOptions = {},
  ): Promise<JobStatus[]> {
    const replyBytes = Math.min(ids.length * READ_BYTES, inlineBytes)
    const build: BuildOp = () => ['read', caller, ids, withIntermediate, inlineBytes]
    const [rows, packed] = await this.#ask<ReadValue>(build, 0, replyBytes)
    return rows.map(([id, state, node, resultBytes, intermediateBytes]) => {
      const result = this.#bytesOf(id, RESULT_PART, packed, resultBytes)
      const intermediate = this.#bytesOf(id, INTERMEDIATE_PART, packed, intermediateBytes)
      const status = { id, state, node, ...(result && { result }), ...(intermediate && { intermediate }) }
      return this.#held.applyToStatus(status, withIntermediate)
    })
  }

  async find(id: string): Promise<JobRecord | undefined> {
    const row = await this.#ask<JobRow | null>(() => ['find', id])
    return row ? this.#held.applyToRecord(recordOf(row)) : undefined
  }

  async list(caller: string, filter: JobFilter): Promise<string[]> {
    const wanted: string[] = []
    const onlyUnfinished = filter === 'pending'
    let seq = 0
    do {
      const after = seq
      const [ids, isFinished, last] = await this.#ask<ListValue>(() => ['list', caller, onlyUnfinished, after, PAGE])
      ids.forEach((id, index) => {
        const ended = isFinished[index] || this.#held.get(id)?.end !== undefined
        if (filter === 'all' || ended === (filter === 'finished')) wanted.push(id)
      })
      seq = last
    } while (seq > 0)
    return wanted
  }

  async keptAnswer(caller: string, path: string, key: string): Promise<KeptAnswer | undefined> {
    const value = await this.#ask<AnswerValue>(() => ['keptAnswer', caller, path, key])
    return value ? answerOf(value[0], unpack(value[1], 0)!, unpack(value[1], 1)!) : undefined
  }

  nextReqnum(worker: string): Promise<number> {
    return this.#ask<number>(() => ['nextReqnum', worker])
  }

  health(): LedgerHealth {
    const [keptBytes, jobs] = this.#report
    const reason = this.#reason
    return { writable: reason === undefined, ...(reason && { reason }), keptBytes, jobs, held: this.#held.size }
  }

  async probe(): Promise<boolean> {
    try {
      await this.#thread.submit(() => ['probe'])
      return true
    } catch {
      return false
    }
  }

  async close(): Promise<void> {
    this.#isClosing = true
    clearTimeout(this.#retrying)
    await this.#writeHeld()
    if (this.#held.size > 0) {
      this.#logger.error('ledger: changes could not be written before the end', { jobs: this.#held.size })
    }
    await this.#thread.close()
  }

  #bytesOf(id: string, part: number, packed: PackedBytes, [ref, length]: ReadBytes): Buffer | LongBytes | undefined {
    if (ref >= 0) return unpack(packed, ref)
    if (length < 0) return undefined
    const read = async (index: number): Promise<Buffer | undefined> => {
      const ask = (): Promise<PackedBytes | null> => this.#ask(() => ['piece', id, part, index], 0, PIECE_BYTES)
      const piece = await this.#pieceReads.run(ask)
      return piece ? unpack(piece, 0) : undefined
    }
    return new LongBytes(length, read, resultGone)
  }

  #ask<Value>(build: BuildOp, bytes?: number, replyBytes?: number): Promise<Value> {
    return this.#thread.submit<Value>(build, bytes, 0, replyBytes).catch((error: unknown) => {
      throw this.#faultOf(error)
    })
  }

  #faultOf(error: unknown): unknown {
    if (!(error instanceof StoreError)) return error
    return ledgerFault(error.isStoreFault ? (this.#reason ?? 'its disk reports an error') : error.message, error)
  }

  /** Changes a job that runs; if that cannot be written now, it is held. False if the job is final or unknown. */
  #change(id: string, change: JobChange): Promise<boolean> {
    if (this.#held.get(id)) return new Promise((resolve) => resolve(this.#hold(id, change)))
    const written = this.#thread.submit<boolean>(changeOp(id, change), bytesOf(change), CHANGE_PATIENCE_MS)
    return written.catch((error: unknown) => {
      if (error instanceof StoreError && error.isStoreFault) return this.#hold(id, change, error)
      throw this.#faultOf(error)
    })
  }

  #hold(id: string, change: JobChange, cause?: StoreError): boolean {
    const outcome = this.#held.hold(id, change)
    if (outcome === 'full') throw ledgerFault('too much waits for its disk', cause)
    this.#keepRetrying()
    return outcome === 'held'
  }

  #onReport(report: StoreReport): void {
    const [, , , hasRoom, writeFailure, pruneFailure] = report
    if (pruneFailure !== null && pruneFailure !== this.#report[5]) {
      this.#logger.error('ledger: old jobs cannot be removed', { error: pruneFailure })
    }
    this.#report = report
    if (writeFailure !== null) this.#becomeUnwritable(writeFailure)
    else if (hasRoom && this.#reason !== undefined) {
      this.#reason = undefined
      this.#logger.info('ledger: jobs can be recorded again', { held: this.#held.size })
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
    this.#keepRetrying()
  }

  #keepRetrying(): void {
    if (this.#isClosing) return
    this.#retrying ??= setTimeout(() => void this.#retry(), RETRY_EVERY_MS).unref()
  }

  async #retry(): Promise<void> {
    if (this.#reason !== undefined) await this.probe()
    if (this.#reason === undefined) await this.#writeHeld()
    this.#retrying = undefined
    if (this.#reason !== undefined || this.#held.size > 0) this.#keepRetrying()
  }

  /** Writes what is held, until something cannot be written. */
  async #writeHeld(): Promise<void> {
    if (this.#isWritingHeld) return
    this.#isWritingHeld = true
    const changes = this.#held.entries()
    while (changes.length > 0) {
      const outcomes = await Promise.all(changes.splice(0, HELD_BATCH).map((entry) => this.#writeOneHeld(...entry)))
      if (outcomes.includes(false)) break
    }
    this.#isWritingHeld = false
  }

  async #writeOneHeld(id: string, change: JobChange): Promise<boolean> {
    try {
      await this.#thread.submit<boolean>(changeOp(id, change), bytesOf(change))
    } catch (error) {
      if (!(error instanceof StoreError) || error.isStoreFault) return false
      this.#logger.error('ledger: a change was given up', { job: id, error: error.message })
    }
    this.#held.written(id, change)
    return true
  }
}
