import type { DatabaseSync } from 'node:sqlite'
import { PIECE_BYTES, type JobState } from '../ledger.ts'
import { RESULT_PART, type ResultStore } from './results.ts'
import {
  Packer,
  packForTransfer,
  type PackedBytes,
  type ReadBytes,
  type ReadOp,
  type ReadRow,
  type ReadValue,
} from './wire.ts'
import { preparerFor } from './rows.ts'

type Blob = Uint8Array | null
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

  /** A caller's jobs; `transfers` gets the buffer that the value holds. */
  read(op: ReadOp & { 0: 'read' }, expired: number, transfers: ArrayBuffer[]): ReadValue {
    const [, caller, ids, withIntermediate, inlineBytes] = op
    const packer = new Packer()
    const found: ReadRow[] = []
    let left = inlineBytes
    const inline = (bytes: Blob, length: number | null): ReadBytes => {
      if (!bytes) return [-1, length ?? -1]
      left -= bytes.length
      return [packer.add(bytes), bytes.length]
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
        withIntermediate ? inline(intermediate, intermediateLength) : [-1, -1],
      ])
    }
    const packed = packer.pack()
    transfers.push(packed[0])
    return [found, packed]
  }

  /** One piece of a finished job's result; null where it is not kept any more. */
  piece([, id, part, number]: ReadOp & { 0: 'piece' }, transfers: ArrayBuffer[]): PackedBytes | null {
    const range = part === RESULT_PART ? this.#sql.rangeOfResult : this.#sql.rangeOfIntermediate
    const row = range.get(number * PIECE_BYTES + 1, PIECE_BYTES, id) as [number, Blob] | undefined
    const piece = row && (row[1] ?? this.#results.piece(row[0], part, number))
    return piece ? packForTransfer(transfers, piece) : null
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
