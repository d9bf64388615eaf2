import type { DatabaseSync } from 'node:sqlite'
import { steadyClock } from '../../base/steadyClock.ts'
import { JOB_OVERHEAD_BYTES, KEPT_ANSWER_TTL_MS, type LedgerLimits } from '../ledger.ts'
import { firstUsageDay } from '../usage/usage.ts'
import type { KeptCounts } from './keptCounts.ts'
import type { ResultStore } from './results.ts'
import { preparerFor, rowsOf } from './rows.ts'
import { ANSWER_BYTES } from './statements.ts'
import type { UsageRows } from './usageRows.ts'

/** Rows that are looked up at once. */
const ROWS_AT_ONCE = 20

/** A finished job to remove; `bytes` are those of its row. */
type FinishedRow = [seq: number, caller: string, bytes: number, isInPieces: number, id: string]
type AnswerRow = [seq: number, caller: string, bytes: number]
type HasTime = () => boolean

interface RetentionOptions {
  readonly db: DatabaseSync
  readonly kept: KeptCounts
  readonly results: ResultStore
  readonly usage: UsageRows
  readonly limits: LedgerLimits
}

/** Removes what is too old or too much. Must run in a transaction. */
export class Retention {
  readonly #sql: ReturnType<typeof prepareAll>
  readonly #kept: KeptCounts
  readonly #results: ResultStore
  readonly #usage: UsageRows
  readonly #limits: LedgerLimits
  readonly #removed: string[] = []

  constructor({ db, kept, results, usage, limits }: RetentionOptions) {
    this.#sql = prepareAll(db)
    this.#kept = kept
    this.#results = results
    this.#usage = usage
    this.#limits = limits
  }

  /** Ids of jobs that were removed before their time was over; each is told once. */
  takeRemoved(): string[] {
    return this.#removed.splice(0)
  }

  /** Removes some of it until the time is over, at least one row; returns how many, 0 where there is nothing to remove. */
  removeSome(hasTime: HasTime): number {
    const now = steadyClock.expiryMs()
    // Leftovers and what is expired first: their bytes still count, and nothing else must go for them.
    return (
      this.#results.removeLeftovers(ROWS_AT_ONCE, hasTime) ||
      this.#removeJobs(rowsOf(this.#sql.expiredJobs, now - this.#limits.ttlMs, ROWS_AT_ONCE), hasTime) ||
      this.#removeAnswers(rowsOf(this.#sql.expiredAnswers, now - KEPT_ANSWER_TTL_MS, ROWS_AT_ONCE), hasTime) ||
      this.#usage.removeBefore(firstUsageDay(now), ROWS_AT_ONCE) ||
      this.#removeOverCap(hasTime)
    )
  }

  /** While too much is kept, removes what the caller who keeps most has kept longest: finished jobs, then answers. */
  #removeOverCap(hasTime: HasTime): number {
    const { maxBytes } = this.#limits
    const largest = this.#kept.bytesNow > maxBytes ? this.#kept.largest() : undefined
    if (!largest) return 0
    const { caller, excessBytes } = largest
    const least = Math.max(maxBytes, this.#kept.bytesNow - excessBytes)
    const goesOn = (): boolean => hasTime() && this.#kept.bytesNow > least
    const jobs = rowsOf<FinishedRow>(this.#sql.oldestJobsOf, caller, ROWS_AT_ONCE)
    const removed = this.#removeJobs(jobs, goesOn)
    for (const [, , , , id] of jobs.slice(0, removed)) this.#removed.push(id)
    return removed || this.#removeAnswers(rowsOf(this.#sql.oldestAnswersOf, caller, ROWS_AT_ONCE), goesOn)
  }

  /** Removes one after the other, at least one. Pieces of a result are left over, to be removed before the next job. */
  #removeJobs(rows: readonly FinishedRow[], goesOn: () => boolean): number {
    let removed = 0
    for (const [seq, caller, bytes, isInPieces] of rows) {
      this.#sql.deleteJob.run(seq)
      if (isInPieces) this.#results.detach(seq)
      this.#kept.countJobs(-1)
      this.#kept.count(caller, -(JOB_OVERHEAD_BYTES + bytes), 0)
      removed++
      if (isInPieces || !goesOn()) break
    }
    return removed
  }

  #removeAnswers(rows: readonly AnswerRow[], goesOn: () => boolean): number {
    let removed = 0
    for (const [seq, caller, bytes] of rows) {
      this.#sql.deleteAnswer.run(seq)
      this.#kept.count(caller, -bytes, 0)
      removed++
      if (!goesOn()) break
    }
    return removed
  }
}

function prepareAll(db: DatabaseSync) {
  const prepare = preparerFor(db)
  const finishedColumns = `seq, caller,
    octet_length(containers) + ifnull(length(result), 0) + ifnull(length(intermediate), 0), result IS NULL, id`
  return {
    expiredJobs: prepare(
      `SELECT ${finishedColumns} FROM jobs INDEXED BY jobs_finished
       WHERE finished_at <= ? ORDER BY finished_at LIMIT ?`,
    ),
    oldestJobsOf: prepare(
      `SELECT ${finishedColumns} FROM jobs INDEXED BY jobs_finished_by_caller
       WHERE caller = ? AND finished_at IS NOT NULL ORDER BY finished_at LIMIT ?`,
    ),
    deleteJob: prepare('DELETE FROM jobs WHERE seq = ?'),
    expiredAnswers: prepare(
      `SELECT seq, caller, ${ANSWER_BYTES} FROM answers WHERE created_at <= ? ORDER BY created_at LIMIT ?`,
    ),
    oldestAnswersOf: prepare(
      `SELECT seq, caller, ${ANSWER_BYTES} FROM answers WHERE caller = ? ORDER BY created_at LIMIT ?`,
    ),
    deleteAnswer: prepare('DELETE FROM answers WHERE seq = ?'),
  }
}
