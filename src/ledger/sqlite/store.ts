import type { DatabaseSync } from 'node:sqlite'
import {
  answerBytes,
  DuplicateJobError,
  JOB_OVERHEAD_BYTES,
  KEPT_ANSWER_TTL_MS,
  PIECE_BYTES,
  type JobEnd,
  type LedgerLimits,
} from '../ledger.ts'
import { LOOKED_AT } from '../browse.ts'
import { steadyClock } from '../../base/steadyClock.ts'
import type { UsageValues } from '../usage/rows.ts'
import { ANSWERS, JOBS, type Row } from './columns.ts'
import { SQLITE, sqliteCode } from './file.ts'
import { KeptCounts } from './keptCounts.ts'
import { ResultReader } from './resultReader.ts'
import { ResultStore } from './results.ts'
import { Retention } from './retention.ts'
import { rowOf, rowsOf } from './rows.ts'
import { prepareStatements, type Statements } from './statements.ts'
import { UsageRows } from './usageRows.ts'

/** Large enough that a disk on which it fits has room for ordinary jobs, small enough to write every few seconds. */
const PROBE_BYTES = 64 * 1024

type Blob = Uint8Array | null
type FinalState = JobEnd['state']
/** A result that was received in pieces, and the lengths of its parts. */
export type ReceivedRow = [result: number, resultBytes: number, intermediateBytes: number | null]
/** What is needed to know of a job that runs. */
type RunningJob = readonly [seq: number, rowBytes: number, requestBytes: number, caller: string, node: string]
/** Whose job it was, and where it ran. */
type EndedJob = [caller: string, node: string]
type ListPage = [ids: string[], isFinished: boolean[], lastSeq: number]

const ID = JOBS.positionOf('id')
const CALLER = JOBS.positionOf('caller')
const CONTAINERS = JOBS.positionOf('containers')

/** The statements behind the ledger's operations. Writes must run in `transaction`. */
export class SqliteStore {
  readonly kept: KeptCounts
  readonly retention: Retention
  readonly #db: DatabaseSync
  readonly #ttlMs: number
  readonly #sql: Statements
  readonly #results: ResultStore
  readonly #reader: ResultReader
  readonly #usage: UsageRows
  #showsRoom = false

  constructor(db: DatabaseSync, limits: LedgerLimits) {
    this.kept = new KeptCounts(db)
    this.#db = db
    this.#ttlMs = limits.ttlMs
    this.#sql = prepareStatements(db)
    this.#results = new ResultStore(db, this.kept)
    this.#reader = new ResultReader(db, this.#results)
    this.#usage = new UsageRows(db)
    this.retention = new Retention({ db, kept: this.kept, results: this.#results, usage: this.#usage, limits })
  }

  /**
   * Runs `work` in one transaction; true if that shows that there is room for jobs: smaller changes find some even on a
   * full disk. On an error nothing is written, and it is passed on.
   */
  transaction(work: () => void): boolean {
    this.#showsRoom = false
    this.kept.begin()
    try {
      this.#sql.begin.run()
      work()
      this.kept.flush()
      this.#sql.commit.run()
    } catch (error) {
      // SQLite rolls back by itself on some errors.
      if (this.#db.isTransaction) this.#sql.rollback.run()
      throw error
    }
    this.kept.committed()
    return this.#showsRoom
  }

  /**
   * Records jobs with their requests, and an answer unless an earlier one stands.
   *
   * @throws DuplicateJobError
   */
  insert(jobs: readonly (readonly [job: Row, request: Blob])[], answer: Row | null): void {
    this.#showsRoom = true
    for (const [row, request] of jobs) this.#insertJob(row, request)
    if (answer) this.#insertAnswer(answer)
  }

  /** `run` are the values of RUN_FIELDS. False, like all changes, where the job is finished or unknown. */
  startRun(id: string, run: Row, expected: number): boolean {
    const job = this.#running(id)
    return job !== undefined && this.#sql.startRun.run(...run, job[0], expected).changes === 1
  }

  markLeft(id: string): boolean {
    const job = this.#running(id)
    if (job) this.#sql.markLeft.run(job[0])
    return job !== undefined
  }

  /** Null where the job is finished or unknown. */
  finish(id: string, state: FinalState, finishedAt: number, result: Uint8Array, intermediate: Blob): EndedJob | null {
    const job = this.#running(id)
    if (!job) return null
    const [seq, , , caller, node] = job
    const isLong = Math.max(result.length, intermediate?.length ?? 0) > PIECE_BYTES
    if (isLong) this.#results.put(caller, seq, result, intermediate)
    else this.kept.count(caller, result.length + (intermediate?.length ?? 0), 0)
    this.#finishJob(job, [state, finishedAt, isLong ? null : result, isLong ? null : intermediate])
    return [caller, node]
  }

  /** Begins a result that is received in pieces, and returns its number. */
  receive(caller: string): number {
    return this.#results.create(caller)
  }

  addPiece(result: number, part: number, number: number, bytes: Uint8Array): void {
    this.#results.add(result, part, number, bytes)
  }

  finishReceived(id: string, state: FinalState, finishedAt: number, [result, ...lengths]: ReceivedRow): boolean {
    const job = this.#running(id)
    if (!job) return false
    this.#results.attach(result, job[0], ...lengths)
    this.#finishJob(job, [state, finishedAt, null, null])
    return true
  }

  /** The owner of a received result is done with it. */
  release(result: number): void {
    this.#results.release(result)
  }

  nextReqnum(worker: string): number {
    return rowOf<[number]>(this.#sql.nextReqnum, worker)![0]
  }

  setReqnum(worker: string, last: number): void {
    this.#sql.setReqnum.run(worker, last)
  }

  keptValue(name: string): Blob {
    return rowOf<[Blob]>(this.#sql.keptValue, name)?.[0] ?? null
  }

  keptValueNames(): string[] {
    return rowsOf<[string]>(this.#sql.keptValueNames).map(([name]) => name)
  }

  setKeptValue(name: string, value: Uint8Array): void {
    this.#sql.setKeptValue.run(name, value)
  }

  deleteKeptValue(name: string): void {
    this.#sql.deleteKeptValue.run(name)
  }

  /** False, and nothing is set, where another value stands than the expected one; null: there must be none. */
  replaceKeptValue(name: string, expected: Blob, value: Uint8Array): boolean {
    const { insertKeptValue, replaceKeptValue } = this.#sql
    const { changes } = expected ? replaceKeptValue.run(value, name, expected) : insertKeptValue.run(name, value)
    return changes === 1
  }

  addUsage(rows: readonly UsageValues[]): void {
    this.#usage.add(rows)
  }

  usageOf(day: number): UsageValues[] {
    return this.#usage.read(day)
  }

  probe(): void {
    this.#showsRoom = true
    this.#sql.insertProbe.run(PROBE_BYTES)
    this.#sql.deleteOldProbes.run()
  }

  /** A page of the unfinished jobs, in the order of callers and numbers; each row is the number, what it keeps, and the job. */
  unfinished(afterCaller: string, afterSeq: number, limit: number): [seq: number, bytes: number, ...job: Row][] {
    return rowsOf(this.#sql.unfinished, afterCaller, afterSeq, limit)
  }

  request(id: string): Blob {
    return rowOf<[Blob]>(this.#sql.request, id)?.[0] ?? null
  }

  read(caller: string, ids: readonly string[], withIntermediate: boolean, inlineBytes: number) {
    return this.#reader.read({ caller, ids, withIntermediate, inlineBytes, expired: this.#expired() })
  }

  piece(id: string, part: number, number: number): Blob {
    return this.#reader.piece(id, part, number)
  }

  find(id: string): Row | null {
    return rowOf<Row>(this.#sql.find, id, this.#expired()) ?? null
  }

  /**
   * A page of jobs, newest first, and where the next one begins: 0 where there is none. Texts that are empty do not matter;
   * `beforeSeq` is 0 at the beginning.
   */
  browse(caller: string, fields: readonly string[], beforeSeq: number, limit: number): [rows: Row[], next: number] {
    const [state = '', node = '', container = ''] = fields
    const before = beforeSeq === 0 ? Number.MAX_SAFE_INTEGER : beforeSeq
    const place = caller === '' ? [before] : [caller, before]
    const [jobs, ends] =
      caller === '' ? [this.#sql.browse, this.#sql.lookedAt] : [this.#sql.browseCaller, this.#sql.lookedAtCaller]
    const wanted = [state, state, node, node, container, container]
    const rows = rowsOf<[seq: number, ...row: Row]>(jobs, ...place, this.#expired(), ...wanted, limit)
    const [count, least] = rowOf<[count: number, least: number | null]>(ends, ...place)!
    const next = rows.length === limit ? rows.at(-1)![0] : count === LOOKED_AT ? (least ?? 0) : 0
    return [rows.map(([, ...row]) => row), next]
  }

  /** A page of a caller's jobs, oldest first; `lastSeq` is 0 where there are no more. */
  list(caller: string, onlyUnfinished: boolean, afterSeq: number, limit: number): ListPage {
    const statement = onlyUnfinished ? this.#sql.listUnfinished : this.#sql.listAll
    const rows = rowsOf<[number, string, number | null]>(statement, caller, afterSeq, limit)
    const expired = this.#expired()
    const alive = rows.filter(([, , finishedAt]) => finishedAt === null || finishedAt > expired)
    const lastSeq = rows.length < limit ? 0 : rows.at(-1)![0]
    return [alive.map((row) => row[1]), alive.map((row) => row[2] !== null), lastSeq]
  }

  idempotencyRecord(caller: string, path: string, key: string): Row | null {
    return (
      rowOf<Row>(this.#sql.idempotencyRecord, caller, path, key, steadyClock.expiryMs() - KEPT_ANSWER_TTL_MS) ?? null
    )
  }

  /** A page of all jobs, expired ones included, in the order in which they came. */
  jobsAfter(seq: number, limit: number): [seq: number, ...job: Row][] {
    return rowsOf(this.#sql.jobsAfter, seq, limit)
  }

  answersAfter(seq: number, limit: number): [seq: number, ...answer: Row][] {
    return rowsOf(this.#sql.answersAfter, seq, limit)
  }

  reqnumsAfter(worker: string, limit: number): [worker: string, last: number][] {
    return rowsOf(this.#sql.reqnumsAfter, worker, limit)
  }

  #insertJob(row: Row, request: Blob): void {
    try {
      this.#sql.insertJob.run(...row, request)
    } catch (error) {
      if (sqliteCode(error) === SQLITE.CONSTRAINT && this.#sql.runningJob.get(row[ID]!)) throw new DuplicateJobError()
      throw error
    }
    this.kept.countJobs(1)
    const containersBytes = Buffer.byteLength(row[CONTAINERS] as string)
    this.kept.count(row[CALLER] as string, 0, JOB_OVERHEAD_BYTES + containersBytes + (request?.length ?? 0))
  }

  #insertAnswer(row: Row): void {
    const answer = ANSWERS.itemOf(row)
    const { caller, path, key } = answer
    const earlier = rowOf<[number, number, number]>(this.#sql.answerAge, caller, path, key)
    if (earlier) {
      const [seq, createdAt, bytes] = earlier
      if (createdAt > steadyClock.expiryMs() - KEPT_ANSWER_TTL_MS) return
      this.#sql.deleteAnswer.run(seq)
      this.kept.count(caller, -bytes, 0)
    }
    this.#sql.insertAnswer.run(...row)
    this.kept.count(caller, answerBytes(answer), 0)
  }

  #running(id: string): RunningJob | undefined {
    const row = rowOf<[...RunningJob, finishedAt: number | null]>(this.#sql.runningJob, id)
    return row?.[5] === null ? (row as unknown as RunningJob) : undefined
  }

  /** Its request goes, and what is left of it can be removed from now on. */
  #finishJob([seq, rowBytes, requestBytes, caller]: RunningJob, end: [...Row]): void {
    this.kept.count(caller, JOB_OVERHEAD_BYTES + rowBytes, -JOB_OVERHEAD_BYTES - rowBytes - requestBytes)
    this.#sql.finish.run(...end, seq)
  }

  /** What ended before does not exist any more. */
  #expired(): number {
    return steadyClock.expiryMs() - this.#ttlMs
  }
}
