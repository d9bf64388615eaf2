import { Readable } from 'node:stream'
import { joinArray } from '../json/index.ts'

/** Shorter bodies are sent as one copy; longer ones in pieces of about this size, so that a large batch is not in memory twice. */
const PIECE_BYTES = 64 * 1024

const OPEN = Buffer.from('[')
const SEPARATOR = Buffer.from(',')
const CLOSE = Buffer.from(']')

/** The body of a request to a node, and its length in bytes. */
export interface BatchBody {
  readonly body: Buffer | Readable
  readonly length: number
  /** What the body takes in memory besides the items, bytes. */
  readonly copiedBytes: number
}

/** A JSON array of these items, their bytes as they are. */
export function batchBody(items: readonly Buffer[]): BatchBody {
  // Brackets, and a comma between each two items.
  let length = Math.max(2, items.length + 1)
  for (const item of items) length += item.length
  if (length <= PIECE_BYTES) return { body: joinArray(items), length, copiedBytes: length }
  return { body: Readable.from(piecesOf(items), { objectMode: false }), length, copiedBytes: 0 }
}

/** Short items are gathered; long ones go out as they are, without a copy. */
function* piecesOf(items: readonly Buffer[]): Generator<Buffer> {
  let gathered: Buffer[] = [OPEN]
  let bytes = 0
  for (const item of items) {
    if (bytes + item.length > PIECE_BYTES) {
      yield Buffer.concat(gathered)
      gathered = []
      bytes = 0
    }
    if (item.length > PIECE_BYTES) yield item
    else gathered.push(item)
    gathered.push(SEPARATOR)
    bytes += item.length
  }
  // Instead of the last comma.
  gathered[gathered.length - 1] = CLOSE
  yield Buffer.concat(gathered)
}
