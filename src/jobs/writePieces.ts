import type { ServerResponse } from 'node:http'
import { roomOrClose } from '../http/index.ts'
import { LongBytes } from '../ledger/index.ts'

/** Bytes of an answer, in memory or to be read from the ledger while they are sent. */
export type JsonPiece = Uint8Array | LongBytes

/** Less than this is gathered for one write; what is larger goes out as it is, without a copy. */
const WRITE_BYTES = 64 * 1024

/**
 * Sends JSON that is bytes already, piece by piece, and reads no further ahead than its client does. A piece may be in the
 * list many times without costing more memory. Rejects where a long piece cannot be read to its end: the answer must then
 * be cut, not ended.
 */
export async function sendJsonPieces(res: ServerResponse, pieces: readonly JsonPiece[]): Promise<void> {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
  // Not `writeHead`: until something is written, a failure has an answer of its own.
  res.setHeader('Content-Type', 'application/json').setHeader('Content-Length', length)
  if (res.req.method === 'HEAD') return void res.end()
  if (length <= WRITE_BYTES && pieces.every(isInMemory)) return void res.end(Buffer.concat(pieces, length))
  await write(res, pieces)
  if (!res.destroyed) res.end()
}

/** The same for JSON that comes in turns, each asked for when the one before is on its way, so that only one takes memory. */
export async function sendJsonTurns(res: ServerResponse, turns: AsyncIterable<readonly JsonPiece[]>): Promise<void> {
  for await (const pieces of turns) {
    if (!res.headersSent) res.setHeader('Content-Type', 'application/json')
    if (res.req.method === 'HEAD') break
    await write(res, pieces)
    if (res.destroyed) return
  }
  res.end()
}

async function write(res: ServerResponse, pieces: readonly JsonPiece[]): Promise<void> {
  for await (const chunk of chunksOf(pieces)) {
    if (res.destroyed) return
    if (!res.write(chunk)) await roomOrClose(res)
  }
}

/** The same bytes in writes that are worth their while. */
async function* chunksOf(pieces: readonly JsonPiece[]): AsyncGenerator<Uint8Array> {
  let gathered: Uint8Array[] = []
  let bytes = 0
  for await (const piece of inMemory(pieces)) {
    if (bytes > 0 && bytes + piece.length > WRITE_BYTES) {
      yield Buffer.concat(gathered, bytes)
      gathered = []
      bytes = 0
    }
    if (piece.length > WRITE_BYTES) {
      yield piece
    } else {
      gathered.push(piece)
      bytes += piece.length
    }
  }
  if (bytes > 0) yield Buffer.concat(gathered, bytes)
}

async function* inMemory(pieces: readonly JsonPiece[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) {
    if (isInMemory(piece)) yield piece
    else yield* piece.pieces()
  }
}

function isInMemory(piece: JsonPiece): piece is Uint8Array {
  return !(piece instanceof LongBytes)
}
