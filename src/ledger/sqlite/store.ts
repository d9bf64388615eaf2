import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { answerBytes, DuplicateJobError, JOB_OVERHEAD_BYTES, KEPT_ANSWER_TTL_MS, PIECE_BYTES } from '../ledger.ts'
import { steadyClock } from '../../base/steadyClock.ts'
import { SQLITE, sqliteCode } from './file.ts'
import { ResultReader } from './resultReader.ts'
import { ResultStore } from './results.ts'
import { SqliteShares } from './shares.ts'
import { prepareStatements, type Statements } from './statements.ts'
import {
  packForTransfer,
  unpack,
  type AnswerRow,
  type AnswerValue,
  type JobRow,
  type ListValue,
  type PackedBytes,
  type ReadOp,
  type SizesValue,
  type UnfinishedValue,
  type WriteOp,
} from './wire.ts'

/** Large enough that a disk on which it fits has room for ordinary jobs, small enough to write every few seconds. */
const PROBE_BYTES = 64 * 1024

type Blob = Uint8Array | null
/** How a job has ended. */
interface JobResult {
  readonly state: string
  readonly finishedAt: number
  readonly result: Blob
  readonly intermediate: Blob
}
/** A finished job to remove; `bytes` are those of its row. */
type FinishedRow = [seq: number, caller: string, bytes: number, isInPieces: number]
type OldAnswerRow = [seq: number, caller: string, bytes: number]

/** The statements behind the ledger's operations. Writes must run in `transaction`. */
export class SqliteStore {
  readonly #db: DatabaseSync
  readonly #ttlMs: number
  readonly #sql: Statements
  readonly #shares: SqliteShares
  readonly #results: ResultStore
  readonly #reader: ResultReader
  #jobs: number
  #keptBytes: number
  #jobsInTransaction = 0
  #bytesInTransaction = 0
  #showsRoom = false

  constructor(db: DatabaseSync, ttlMs: number) {
    this.#db = db
    this.#ttlMs = ttlMs
    this.#sql = prepareStatements(db)
    this.#shares = new SqliteShares(db)
    this.#results = new ResultStore(db, (caller, removable, fixed) => this.#count(caller, removable, fixed))
    this.#reader = new ResultReader(db, this.#results)
    const [jobs, bytes] = rowOf<[number, number]>(this.#sql.totals)!
    this.#jobs = jobs
    this.#keptBytes = bytes
  }

  get jobs(): number {
    return this.#jobs
  }

  get keptBytes(): number {
    return this.#keptBytes
  }

  /**
   * Runs `work` in one transaction; true if that shows that there is room for jobs: smaller changes find some even on a
   * full disk. On an error nothing is written, and it is passed on.
   */
  transaction(work: () => void): boolean {
    this.#jobsInTransaction = 0
    this.#bytesInTransaction = 0
    this.#showsRoom = false
    this.#shares.begin()
    try {
      this.#sql.begin.run()
      work()
      this.#shares.flush()
      if (this.#jobsInTransaction !== 0 || this.#bytesInTransaction !== 0) {
        this.#sql.addToTotals.run(this.#jobsInTransaction, this.#bytesInTransaction)
      }
      this.#sql.commit.run()
    } catch (error) {
      // SQLite rolls back by itself on some errors.
      if (this.#db.isTransaction) this.#sql.rollback.run()
      throw error
    }
    this.#jobs += this.#jobsInTransaction
    this.#keptBytes += this.#bytesInTransaction
    return this.#showsRoom
  }

  /** @throws DuplicateJobError, and SQLite's errors */
  write(op: WriteOp, packed: PackedBytes): unknown {
    switch (op[0]) {
      case 'insert':
        this.#showsRoom = true
        for (const [row, request] of op[1]) this.#insertJob(row, unpack(packed, request) ?? null)
        if (op[2]) this.#insertAnswer(op[2][0], unpack(packed, op[2][1])!, unpack(packed, op[2][2])!)
        return undefined
      case 'change':
        return this.#change(op, packed)
      case 'receive':
        return this.#results.create(op[1])
      case 'addPiece':
        return this.#results.add(op[1], op[2], op[3], unpack(packed, op[4])!)
      case 'nextReqnum':
        return rowOf<[number]>(this.#sql.nextReqnum, op[1])![0]
      case 'probe':
        this.#showsRoom = true
        this.#sql.insertProbe.run(PROBE_BYTES)
        this.#sql.deleteOldProbes.run()
        return undefined
    }
  }

  /** `transfers` gets the buffers that the value holds. */
  read(op: ReadOp, transfers: ArrayBuffer[]): unknown {
    const expired = steadyClock.expiryMs() - this.#ttlMs
    switch (op[0]) {
      case 'unfinished':
        return this.#unfinished(op[1], op[2], op[3])
      case 'unfinishedSizes':
        return this.#unfinishedSizes(op[1], op[2], op[3])
      case 'request':
        return this.#request(op[1], transfers)
      case 'read':
        return this.#reader.read(op, expired, transfers)
      case 'piece':
        return this.#reader.piece(op, transfers)
      case 'release':
        return this.#results.release(op[1])
      case 'find':
        return rowOf<JobRow>(this.#sql.find, op[1], expired) ?? null
      case 'list':
        return this.#list(op[1], op[2], op[3], op[4], expired)
      case 'keptAnswer':
        return this.#keptAnswer(op[1], op[2], op[3], transfers)
    }
  }

  /** Removes pieces of results whose jobs are removed, or that were never complete; returns how many rows. */
  removeLeftovers(limit: number, hasTime: () => boolean): number {
    return this.#results.removeLeftovers(limit, hasTime)
  }

  /**
   * Removes expired jobs, oldest first; returns how many. Pieces of their results are left over, to be removed before the
   * next job.
   */
  removeExpiredJobs(limit: number, hasTime: () => boolean): number {
    const expired = steadyClock.expiryMs() - this.#ttlMs
    return this.#removeJobs(rowsOf<FinishedRow>(this.#sql.expiredJobs, expired, limit), hasTime)
  }

  /** The same for kept answers. */
  removeExpiredAnswers(limit: number, hasTime: () => boolean): number {
    const expired = steadyClock.expiryMs() - KEPT_ANSWER_TTL_MS
    return this.#removeAnswers(rowsOf<OldAnswerRow>(this.#sql.expiredAnswers, expired, limit), hasTime)
  }

  /**
   * While more than that is kept, removes what the caller who keeps most has kept longest: finished jobs, then answers;
   * returns how many rows.
   */
  removeOverCap(limit: number, maxBytes: number, hasTime: () => boolean): number {
    if (!this.#isOver(maxBytes)) return 0
    const largest = this.#shares.largest()
    if (!largest) return 0
    const { caller, excessBytes } = largest
    const least = this.#keptNow() - excessBytes
    const goesOn = (): boolean => hasTime() && this.#isOver(maxBytes) && this.#keptNow() > least
    return (
      this.#removeJobs(rowsOf<FinishedRow>(this.#sql.oldestJobsOf, caller, limit), goesOn) ||
      this.#removeAnswers(rowsOf<OldAnswerRow>(this.#sql.oldestAnswersOf, caller, limit), goesOn)
    )
  }

  /** Removes one after the other, at least one. */
  #removeJobs(rows: readonly FinishedRow[], goesOn: () => boolean): number {
    let removed = 0
    for (const [seq, caller, bytes, isInPieces] of rows) {
      this.#sql.deleteJob.run(seq)
      if (isInPieces) this.#results.detach(seq)
      this.#jobsInTransaction--
      this.#count(caller, -(JOB_OVERHEAD_BYTES + bytes), 0)
      removed++
      if (isInPieces || !goesOn()) break
    }
    return removed
  }

  #removeAnswers(rows: readonly OldAnswerRow[], goesOn: () => boolean): number {
    let removed = 0
    for (const [seq, caller, bytes] of rows) {
      this.#removeAnswer(seq, caller, bytes)
      removed++
      if (!goesOn()) break
    }
    return removed
  }

  #removeAnswer(seq: number, caller: string, bytes: number): void {
    this.#sql.deleteAnswer.run(seq)
    this.#count(caller, -bytes, 0)
  }

  #keptNow(): number {
    return this.#keptBytes + this.#bytesInTransaction
  }

  #isOver(maxBytes: number): boolean {
    return this.#keptNow() > maxBytes
  }

  #insertJob(row: JobRow, request: Blob): void {
    try {
      this.#sql.insertJob.run(...row, request)
    } catch (error) {
      if (sqliteCode(error) === SQLITE.CONSTRAINT && this.#sql.seqOf.get(row[0])) throw new DuplicateJobError()
      throw error
    }
    this.#jobsInTransaction++
    this.#count(row[1], 0, JOB_OVERHEAD_BYTES + Buffer.byteLength(row[4]) + (request?.length ?? 0))
  }

  #insertAnswer(row: AnswerRow, bodyHash: Uint8Array, body: Uint8Array): void {
    const [caller, path, key, , contentType, node] = row
    const earlier = rowOf<[number, number, number]>(this.#sql.answerAge, caller, path, key)
    if (earlier) {
      const [seq, createdAt, bytes] = earlier
      if (createdAt > steadyClock.expiryMs() - KEPT_ANSWER_TTL_MS) return
      this.#removeAnswer(seq, caller, bytes)
    }
    this.#sql.insertAnswer.run(...row, bodyHash, body)
    this.#count(caller, answerBytes({ caller, path, key, contentType, node, bodyHash, body }), 0)
  }

  #change([, id, run, isLeft, end]: WriteOp & { 0: 'change' }, packed: PackedBytes): boolean {
    const job = rowOf<[number, number | null, number | null, string, number]>(this.#sql.seqOf, id)
    if (!job || job[1] !== null) return false
    const [seq, , requestBytes, caller, containersBytes] = job
    if (run) this.#sql.rerun.run(...run, seq)
    if (isLeft) this.#sql.markLeft.run(seq)
    if (end) {
      const [state, finishedAt, resultRef, intermediateRef, received] = end
      const rowBytes = JOB_OVERHEAD_BYTES + containersBytes
      this.#count(caller, rowBytes, -rowBytes - (requestBytes ?? 0))
      if (received) {
        const [receivedSeq, ...lengths] = received
        this.#results.attach(receivedSeq, seq, ...lengths)
        this.#sql.finish.run(state, finishedAt, null, null, seq)
      } else {
        const result = unpack(packed, resultRef) ?? null
        const intermediate = unpack(packed, intermediateRef) ?? null
        this.#finish(seq, caller, { state, finishedAt, result, intermediate })
      }
    }
    return true
  }

  #finish(seq: number, caller: string, { state, finishedAt, result, intermediate }: JobResult): void {
    if (result && Math.max(result.length, intermediate?.length ?? 0) > PIECE_BYTES) {
      this.#results.put(caller, seq, result, intermediate)
      this.#sql.finish.run(state, finishedAt, null, null, seq)
    } else {
      this.#sql.finish.run(state, finishedAt, result, intermediate, seq)
      this.#count(caller, (result?.length ?? 0) + (intermediate?.length ?? 0), 0)
    }
  }

  #unfinished(afterCaller: string, afterSeq: number, limit: number): UnfinishedValue {
    const rows = rowsOf<[...JobRow, number]>(this.#sql.unfinished, afterCaller, afterSeq, limit)
    const last = rows.at(-1)
    const lastSeq = last ? Number(last.at(-1)) : 0
    return [rows.map((row) => row.slice(0, -1) as JobRow), last?.[1] ?? '', lastSeq]
  }

  #request(id: string, transfers: ArrayBuffer[]): PackedBytes | null {
    const row = rowOf<[Blob]>(this.#sql.request, id)
    return row?.[0] ? packForTransfer(transfers, row[0]) : null
  }

  #list(caller: string, onlyUnfinished: boolean, afterSeq: number, limit: number, expired: number): ListValue {
    const statement = onlyUnfinished ? this.#sql.listUnfinished : this.#sql.listAll
    const rows = rowsOf<[number, string, number | null]>(statement, caller, afterSeq, limit)
    const alive = rows.filter((row) => row[2] === null || row[2] > expired)
    const lastSeq = rows.length < limit ? 0 : rows.at(-1)![0]
    return [alive.map((row) => row[1]), alive.map((row) => row[2] !== null), lastSeq]
  }

  #keptAnswer(caller: string, path: string, key: string, transfers: ArrayBuffer[]): AnswerValue {
    const alive = steadyClock.expiryMs() - KEPT_ANSWER_TTL_MS
    const row = rowOf<[...AnswerRow, Uint8Array, Uint8Array]>(this.#sql.keptAnswer, caller, path, key, alive)
    return row ? [row.slice(0, 7) as AnswerRow, packForTransfer(transfers, row[7], row[8])] : null
  }

  #unfinishedSizes(afterCaller: string, afterSeq: number, limit: number): SizesValue {
    const rows = rowsOf<[string, number, string, number]>(this.#sql.unfinishedSizes, afterCaller, afterSeq, limit)
    const last = rows.at(-1)
    return [rows.map(([id, bytes]) => [id, JOB_OVERHEAD_BYTES + bytes]), last?.[2] ?? '', last?.[3] ?? 0]
  }

  /** Bytes of a caller that can be removed, and such that cannot be. */
  #count(caller: string, removable: number, fixed: number): void {
    this.#shares.count(caller, removable, fixed)
    this.#bytesInTransaction += removable + fixed
  }
}

function rowOf<Row>(statement: StatementSync, ...values: (string | number)[]): Row | undefined {
  return statement.get(...values) as Row | undefined
}

function rowsOf<Row>(statement: StatementSync, ...values: (string | number)[]): Row[] {
  return statement.all(...values) as unknown as Row[]
}
