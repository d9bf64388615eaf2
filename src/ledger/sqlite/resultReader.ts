import type { DatabaseSync } from 'node:sqlite'
import { PIECE_BYTES, type JobState } from '../ledger.ts'
import { RESULT_PART, type ResultStore } from './results.ts'
import { preparerFor } from './rows.ts'

type Blob = Uint8Array | null
/** Bytes that are too long to be read along have their length alone; where there are none the length is -1. */
export type ReadBytes = [bytes: Blob, length: number]
type ReadRow = [id: string, state: JobState, node: string, result: ReadBytes, intermediate: ReadBytes]

export interface ReadQuery {
  readonly caller: string
  readonly ids: readonly string[]
  readonly withIntermediate: boolean
  /** At most this is read along, for all jobs together. */
  readonly inlineBytes: number
  /** What ended before is not there any more. */
  readonly expired: number
}

type Row = [
  ...[seq: number, state: JobState, node: string],
  ...[result: Blob, resultBytes: number | null, intermediate: Blob, intermediateBytes: number | null],
]

/**
 * Reads results: short ones along with their jobs, long ones piece by piece, whether they are in pieces or, as earlier
 * gateways wrote them, in the job's row.
 */
export class ResultReader {
  readonly #sql: ReturnType<typeof prepareAll>
  readonly #results: ResultStore

  constructor(db: DatabaseSync, results: ResultStore) {
    this.#sql = prepareAll(db)
    this.#results = results
  }

  /** A caller's jobs. */
  read({ caller, ids, withIntermediate, inlineBytes, expired }: ReadQuery): ReadRow[] {
    const found: ReadRow[] = []
    let left = inlineBytes
    const inline = (bytes: Blob, length: number | null): ReadBytes => {
      left -= bytes?.length ?? 0
      return [bytes, length ?? -1]
    }
    for (const id of ids) {
      const limits = [left, withIntermediate ? left : -1] as const
      const row = this.#sql.read.get(...limits, id, caller, expired) as Row | undefined
      if (!row) continue
      const [seq, state, node, result, resultBytes, intermediate, intermediateBytes] = row
      const inPieces = state !== 'running' && resultBytes === null ? this.#results.lengths(seq) : undefined
      const [resultLength, intermediateLength] = inPieces ?? [resultBytes, intermediateBytes]
      found.push([
        ...([id, state, node] as const),
        inline(result, resultLength),
        withIntermediate ? inline(intermediate, intermediateLength) : [null, -1],
      ])
    }
    return found
  }

  /** One piece of a finished job's result; null where it is not kept any more. */
  piece(id: string, part: number, number: number): Blob {
    const range = part === RESULT_PART ? this.#sql.rangeOfResult : this.#sql.rangeOfIntermediate
    const row = range.get(number * PIECE_BYTES + 1, PIECE_BYTES, id) as [number, Blob] | undefined
    return (row && (row[1] ?? this.#results.piece(row[0], part, number))) ?? null
  }
}

function prepareAll(db: DatabaseSync) {
  const prepare = preparerFor(db)
  return {
    // A blob's length is in the row's head, so that long ones are not read.
    read: prepare(
      `SELECT seq, state, node,
         iif(length(result) <= ?, result, NULL), length(result),
         iif(length(intermediate) <= ?, intermediate, NULL), length(intermediate)
       FROM jobs WHERE id = ? AND caller = ? AND (finished_at IS NULL OR finished_at > ?)`,
    ),
    rangeOfResult: prepare('SELECT seq, substr(result, ?, ?) FROM jobs WHERE id = ? AND finished_at IS NOT NULL'),
    rangeOfIntermediate: prepare(
      'SELECT seq, substr(intermediate, ?, ?) FROM jobs WHERE id = ? AND finished_at IS NOT NULL',
    ),
  }
}
