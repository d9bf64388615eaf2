import type { DatabaseSync } from 'node:sqlite'
import { PIECE_BYTES } from '../ledger.ts'
import type { KeptCounts } from './keptCounts.ts'
import { preparerFor } from './rows.ts'

/** The two parts of a result, as in the column `part`. */
export const RESULT_PART = 0
export const INTERMEDIATE_PART = 1

/** Results that are kept in pieces: see the schema. Writes must run in a transaction. */
export class ResultStore {
  readonly #sql: ReturnType<typeof prepareAll>
  readonly #kept: KeptCounts
  /**
   * Results with an owner who may still add to them or end a job with them, and their callers. The rest of those without
   * a job is left over.
   */
  readonly #owned = new Map<number, string>()

  constructor(db: DatabaseSync, kept: KeptCounts) {
    this.#sql = prepareAll(db)
    this.#kept = kept
  }

  /** Begins a result; it stays until its owner releases it. */
  create(caller: string): number {
    const [seq] = this.#sql.create.get(caller) as unknown as [number]
    this.#owned.set(seq, caller)
    return seq
  }

  /** The owner is done with it: it belongs to its job by then, or is left over. */
  release(result: number): void {
    this.#owned.delete(result)
  }

  /** Adds to a result that has an owner. */
  add(result: number, part: number, number: number, bytes: Uint8Array): void {
    const caller = this.#owned.get(result)
    if (caller === undefined) throw new Error('The result was given up')
    this.#sql.add.run(result, part, number, bytes)
    this.#kept.count(caller, 0, bytes.length)
  }

  /** Makes it the result of a job. */
  attach(result: number, job: number, resultBytes: number, intermediateBytes: number | null): void {
    const [caller] = this.#sql.attach.get(job, resultBytes, intermediateBytes, result) as unknown as [string]
    const bytes = resultBytes + (intermediateBytes ?? 0)
    this.#kept.count(caller, bytes, -bytes)
  }

  /** Keeps bytes that are in memory as the result of a job. */
  put(caller: string, job: number, result: Uint8Array, intermediate: Uint8Array | null): void {
    const seq = this.create(caller)
    for (const [part, bytes] of [result, intermediate ?? new Uint8Array()].entries()) {
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
        this.add(seq, part, at / PIECE_BYTES, bytes.subarray(at, at + PIECE_BYTES))
      }
    }
    this.attach(seq, job, result.length, intermediate?.length ?? null)
    this.release(seq)
  }

  /** Lengths of a job's result and intermediate results, if it has them here. */
  lengths(job: number): [result: number, intermediate: number | null] | undefined {
    return this.#sql.lengths.get(job) as [number, number | null] | undefined
  }

  piece(job: number, part: number, number: number): Uint8Array | undefined {
    const row = this.#sql.piece.get(job, part, number) as [Uint8Array] | undefined
    return row?.[0]
  }

  /** Leaves the result of a job that is removed to `removeLeftovers`. */
  detach(job: number): void {
    const row = this.#sql.detach.get(job) as unknown as [string, number, number | null] | undefined
    if (!row) return
    const [caller, resultBytes, intermediateBytes] = row
    const bytes = resultBytes + (intermediateBytes ?? 0)
    this.#kept.count(caller, -bytes, bytes)
  }

  /** Removes pieces that belong to nobody, until the time is over; returns how many rows. */
  removeLeftovers(limit: number, hasTime: () => boolean): number {
    let removed = 0
    for (const [result, caller] of this.#sql.withoutJob.all() as unknown as [number, string][]) {
      if (this.#owned.has(result)) continue
      const pieces = this.#sql.piecesOf.all(result, limit) as unknown as [seq: number, bytes: number][]
      for (const [seq, bytes] of pieces) {
        this.#sql.removePiece.run(seq)
        this.#kept.count(caller, 0, -bytes)
        removed++
        if (!hasTime()) return removed
      }
      if (pieces.length < limit) {
        this.#sql.remove.run(result)
        removed++
      }
      if (removed >= limit) break
    }
    return removed
  }
}

function prepareAll(db: DatabaseSync) {
  const prepare = preparerFor(db)
  return {
    create: prepare('INSERT INTO results (caller, result_bytes) VALUES (?, 0) RETURNING seq'),
    add: prepare('INSERT INTO pieces (result, part, number, bytes) VALUES (?, ?, ?, ?)'),
    attach: prepare(
      'UPDATE results SET job = ?, result_bytes = ?, intermediate_bytes = ? WHERE seq = ? RETURNING caller',
    ),
    lengths: prepare('SELECT result_bytes, intermediate_bytes FROM results WHERE job = ?'),
    piece: prepare(
      `SELECT bytes FROM pieces
       WHERE result = (SELECT seq FROM results WHERE job = ?) AND part = ? AND number = ?`,
    ),
    detach: prepare('UPDATE results SET job = NULL WHERE job = ? RETURNING caller, result_bytes, intermediate_bytes'),
    withoutJob: prepare('SELECT seq, caller FROM results INDEXED BY results_without_job WHERE job IS NULL'),
    piecesOf: prepare('SELECT seq, length(bytes) FROM pieces WHERE result = ? LIMIT ?'),
    removePiece: prepare('DELETE FROM pieces WHERE seq = ?'),
    remove: prepare('DELETE FROM results WHERE seq = ?'),
  }
}
