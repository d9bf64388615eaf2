import type { DatabaseSync, StatementSync } from 'node:sqlite'
import {
  ANSWER_OVERHEAD_BYTES,
  DuplicateJobError,
  JOB_OVERHEAD_BYTES,
  KEPT_ANSWER_TTL_MS,
  PIECE_BYTES,
} from './ledger.ts'
import { steadyClock } from '../steadyClock.ts'
import { SQLITE, sqliteCode } from './sqliteFile.ts'
import { ResultReader } from './sqliteResultReader.ts'
import { ResultStore } from './sqliteResults.ts'
import {
  ANSWER_COLUMNS,
  JOB_COLUMNS,
  packForTransfer,
  unpack,
  type AnswerRow,
  type AnswerValue,
  type JobRow,
  type ListValue,
  type PackedBytes,
  type ReadOp,
  type UnfinishedValue,
  type WriteOp,
} from './sqliteWire.ts'

/** Large enough that a disk on which it fits has room for ordinary jobs, small enough to write every few seconds. */
const PROBE_BYTES = 64 * 1024

type Blob = Uint8Array | null

/** The statements behind the ledger's operations. Writes must run in `transaction`. */
export class SqliteStore {
  readonly #db: DatabaseSync
  readonly #ttlMs: number
  readonly #sql: ReturnType<typeof prepareAll>
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
    this.#sql = prepareAll(db)
    this.#results = new ResultStore(db, (bytes) => this.#count(0, bytes))
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
    try {
      this.#sql.begin.run()
      work()
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
   * Removes finished jobs, oldest first, as long as they are expired or too much is kept; returns how many. Pieces of
   * their results are left over, to be removed before the next job.
   */
  removeJobs(limit: number, maxBytes: number, hasTime: () => boolean): number {
    const expired = steadyClock.expiryMs() - this.#ttlMs
    let removed = 0
    const oldest = rowsOf<[number, number, number, number]>(this.#sql.oldestFinished, limit)
    for (const [seq, finishedAt, bytes, isInPieces] of oldest) {
      if (finishedAt > expired && !this.#isOver(maxBytes)) break
      this.#sql.deleteJob.run(seq)
      if (isInPieces) this.#results.detach(seq)
      this.#count(-1, -(JOB_OVERHEAD_BYTES + bytes))
      removed++
      if (isInPieces || !hasTime()) break
    }
    return removed
  }

  /** The same for kept answers. */
  removeAnswers(limit: number, maxBytes: number, hasTime: () => boolean): number {
    const expired = steadyClock.expiryMs() - KEPT_ANSWER_TTL_MS
    let removed = 0
    for (const [seq, createdAt, bytes] of rowsOf<[number, number, number]>(this.#sql.oldestAnswers, limit)) {
      if (createdAt > expired && !this.#isOver(maxBytes)) break
      this.#sql.deleteAnswer.run(seq)
      this.#count(0, -(ANSWER_OVERHEAD_BYTES + bytes))
      removed++
      if (!hasTime()) break
    }
    return removed
  }

  #isOver(maxBytes: number): boolean {
    return this.#keptBytes + this.#bytesInTransaction > maxBytes
  }

  #insertJob(row: JobRow, request: Blob): void {
    try {
      this.#sql.insertJob.run(...row, request)
    } catch (error) {
      if (sqliteCode(error) === SQLITE.CONSTRAINT && this.#sql.seqOf.get(row[0])) throw new DuplicateJobError()
      throw error
    }
    this.#count(1, JOB_OVERHEAD_BYTES + Buffer.byteLength(row[4]) + (request?.length ?? 0))
  }

  #insertAnswer(row: AnswerRow, bodyHash: Uint8Array, body: Uint8Array): void {
    const [caller, path, key] = row
    const earlier = rowOf<[number, number, number]>(this.#sql.answerAge, caller, path, key)
    if (earlier) {
      const [seq, createdAt, bytes] = earlier
      if (createdAt > steadyClock.expiryMs() - KEPT_ANSWER_TTL_MS) return
      this.#sql.deleteAnswer.run(seq)
      this.#count(0, -(ANSWER_OVERHEAD_BYTES + bytes))
    }
    this.#sql.insertAnswer.run(...row, bodyHash, body)
    this.#count(0, ANSWER_OVERHEAD_BYTES + body.length)
  }

  #change([, id, run, isLeft, end]: WriteOp & { 0: 'change' }, packed: PackedBytes): boolean {
    const job = rowOf<[number, number | null, number | null, string]>(this.#sql.seqOf, id)
    if (!job || job[1] !== null) return false
    const [seq, , requestBytes, caller] = job
    if (run) this.#sql.rerun.run(...run, seq)
    if (isLeft) this.#sql.markLeft.run(seq)
    if (end) {
      const [state, finishedAt, resultRef, intermediateRef, received] = end
      this.#count(0, -(requestBytes ?? 0))
      if (received) {
        const [receivedSeq, ...lengths] = received
        this.#results.attach(receivedSeq, seq, ...lengths)
        this.#sql.finish.run(state, finishedAt, null, null, seq)
      } else {
        const result = unpack(packed, resultRef) ?? null
        const intermediate = unpack(packed, intermediateRef) ?? null
        this.#finish(seq, caller, state, finishedAt, result, intermediate)
      }
    }
    return true
  }

  #finish(seq: number, caller: string, state: string, finishedAt: number, result: Blob, intermediate: Blob): void {
    if (result && Math.max(result.length, intermediate?.length ?? 0) > PIECE_BYTES) {
      this.#results.put(caller, seq, result, intermediate)
      this.#sql.finish.run(state, finishedAt, null, null, seq)
    } else {
      this.#sql.finish.run(state, finishedAt, result, intermediate, seq)
      this.#count(0, (result?.length ?? 0) + (intermediate?.length ?? 0))
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

  #count(jobs: number, bytes: number): void {
    this.#jobsInTransaction += jobs
    this.#bytesInTransaction += bytes
  }
}

function prepareAll(db: DatabaseSync) {
  const prepare = (sql: string): StatementSync => {
    const statement = db.prepare(sql)
    statement.setReturnArrays(true)
    return statement
  }
  const marks = (columns: string): string => columns.replaceAll(/\w+/g, '?')
  const isAlive = '(finished_at IS NULL OR finished_at > ?)'
  return {
    begin: prepare('BEGIN IMMEDIATE'),
    commit: prepare('COMMIT'),
    rollback: prepare('ROLLBACK'),
    totals: prepare('SELECT jobs, bytes FROM totals WHERE one = 1'),
    addToTotals: prepare('UPDATE totals SET jobs = jobs + ?, bytes = bytes + ? WHERE one = 1'),
    insertProbe: prepare('INSERT INTO probe (filler) VALUES (zeroblob(?))'),
    deleteOldProbes: prepare('DELETE FROM probe WHERE seq < (SELECT max(seq) FROM probe)'),
    insertJob: prepare(`INSERT INTO jobs (${JOB_COLUMNS}, request) VALUES (${marks(JOB_COLUMNS)}, ?)`),
    seqOf: prepare('SELECT seq, finished_at, length(request), caller FROM jobs WHERE id = ?'),
    rerun: prepare(
      'UPDATE jobs SET node = ?, node_job_id = ?, local_address = ?, runs = ?, run_started_at = ? WHERE seq = ?',
    ),
    markLeft: prepare('UPDATE jobs SET client_gone = 1 WHERE seq = ?'),
    finish: prepare(
      'UPDATE jobs SET state = ?, finished_at = ?, request = NULL, result = ?, intermediate = ? WHERE seq = ?',
    ),
    unfinished: prepare(
      `SELECT ${JOB_COLUMNS}, seq FROM jobs INDEXED BY jobs_unfinished
       WHERE finished_at IS NULL AND (caller, seq) > (?, ?) ORDER BY caller, seq LIMIT ?`,
    ),
    request: prepare('SELECT request FROM jobs WHERE id = ?'),
    find: prepare(`SELECT ${JOB_COLUMNS} FROM jobs WHERE id = ? AND ${isAlive}`),
    listAll: prepare(
      `SELECT seq, id, finished_at FROM jobs INDEXED BY jobs_by_caller
       WHERE caller = ? AND seq > ? ORDER BY seq LIMIT ?`,
    ),
    listUnfinished: prepare(
      `SELECT seq, id, finished_at FROM jobs INDEXED BY jobs_unfinished
       WHERE caller = ? AND finished_at IS NULL AND seq > ? ORDER BY seq LIMIT ?`,
    ),
    oldestFinished: prepare(
      `SELECT seq, finished_at,
         octet_length(containers) + ifnull(length(result), 0) + ifnull(length(intermediate), 0),
         result IS NULL
       FROM jobs INDEXED BY jobs_finished WHERE finished_at IS NOT NULL ORDER BY finished_at LIMIT ?`,
    ),
    deleteJob: prepare('DELETE FROM jobs WHERE seq = ?'),
    answerAge: prepare('SELECT seq, created_at, length(body) FROM answers WHERE caller = ? AND path = ? AND key = ?'),
    insertAnswer: prepare(
      `INSERT INTO answers (${ANSWER_COLUMNS}, body_hash, body) VALUES (${marks(ANSWER_COLUMNS)}, ?, ?)`,
    ),
    deleteAnswer: prepare('DELETE FROM answers WHERE seq = ?'),
    oldestAnswers: prepare('SELECT seq, created_at, length(body) FROM answers ORDER BY created_at LIMIT ?'),
    keptAnswer: prepare(
      `SELECT ${ANSWER_COLUMNS}, body_hash, body FROM answers
       WHERE caller = ? AND path = ? AND key = ? AND created_at > ?`,
    ),
    nextReqnum: prepare(
      'INSERT INTO reqnums VALUES (?, 1) ON CONFLICT (worker) DO UPDATE SET last = last + 1 RETURNING last',
    ),
  }
}

function rowOf<Row>(statement: StatementSync, ...values: (string | number)[]): Row | undefined {
  return statement.get(...values) as Row | undefined
}

function rowsOf<Row>(statement: StatementSync, ...values: (string | number)[]): Row[] {
  return statement.all(...values) as unknown as Row[]
}
