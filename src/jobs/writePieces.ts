import type { ServerResponse } from 'node:http'

/** Less than this is gathered for one write; what is larger goes out as it is, without a copy. */
const WRITE_BYTES = 64 * 1024

/**
 * Sends JSON that is bytes already, piece by piece and no faster than its client takes it. A piece may be in the list many
 * times without costing more memory.
 */
export async function sendJsonPieces(res: ServerResponse, pieces: readonly Uint8Array[]): Promise<void> {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
  res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': length })
  if (res.req.method === 'HEAD') return void res.end()
  if (length <= WRITE_BYTES) return void res.end(Buffer.concat(pieces, length))
  await write(res, pieces)
  res.end()
}

/** The same for JSON that comes in turns, each asked for when the one before is on its way, so that only one takes memory. */
export async function sendJsonTurns(res: ServerResponse, turns: AsyncIterable<readonly Uint8Array[]>): Promise<void> {
  for await (const pieces of turns) {
    // Not before the first is there: until then a failure has an answer of its own.
    if (!res.headersSent) res.writeHead(200, { 'Content-Type': 'application/json' })
    if (res.req.method === 'HEAD') break
    await write(res, pieces)
    if (res.destroyed) return
  }
  res.end()
}

async function write(res: ServerResponse, pieces: readonly Uint8Array[]): Promise<void> {
  for (const chunk of chunksOf(pieces)) {
    if (res.destroyed) return
    if (!res.write(chunk)) await roomOrClose(res)
  }
}

/** The same bytes in writes that are worth their while. */
function* chunksOf(pieces: readonly Uint8Array[]): Generator<Uint8Array> {
  let gathered: Uint8Array[] = []
  let bytes = 0
  for (const piece of pieces) {
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

/** Resolves when there is room for the next write, or nobody left to write for. */
function roomOrClose(res: ServerResponse): Promise<void> {
  if (res.destroyed) return Promise.resolve()
  return new Promise((resolve) => {
    const settle = (): void => {
      res.off('drain', settle).off('close', settle)
      resolve()
    }
    res.on('drain', settle).on('close', settle)
  })
}
