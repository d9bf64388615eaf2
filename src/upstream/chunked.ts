import type { ServerResponse } from 'node:http'

const CR = 0x0d
const LF = 0x0a
const LAST_CHUNK = Buffer.from('0\r\n\r\n')

/** Answers whose chunks are written here. */
const ours = new WeakSet<ServerResponse>()

/** Whether the next byte of this answer is the first of a chunk's size. */
export function isBetweenChunks(res: ServerResponse): boolean {
  return ours.has(res) && !res.writableEnded
}

/** Sends a byte that means nothing: the size of a chunk may have leading zeros, the last one's too (RFC 9112, 7.1). */
export function writeLeadingZero(res: ServerResponse): void {
  res.write('0', 'latin1')
}

/**
 * Takes the chunked coding of an answer (RFC 9112, 7.1) off Node's hands: Node writes each chunk in four parts, which takes
 * twice the time and needs a gathering write. Call it between `writeHead` and the first byte; where the answer is not
 * chunked, because it tells its length or its client speaks HTTP/1.0, bytes go on as they are.
 */
export class ChunkedBody {
  readonly #res: ServerResponse
  readonly #isChunked: boolean
  /** The head has left, or waits for its turn on the connection. */
  #isHeadWritten = false

  constructor(res: ServerResponse) {
    this.#res = res
    this.#isChunked = res.chunkedEncoding
    res.chunkedEncoding = false
    if (this.#isChunked) ours.add(res)
  }

  /** Writes a piece as one chunk; false where the client should be waited for. */
  write(piece: Buffer, onWritten?: () => void): boolean {
    // An empty chunk would be the last one.
    if (piece.length === 0) {
      onWritten?.()
      return true
    }
    const res = this.#res
    if (!this.#isChunked) return res.write(piece, onWritten)
    const chunk = chunkOf(piece)
    // A response corks its socket until the end of the turn with each write, which takes a third of the time of one.
    if (this.#isHeadWritten && res.socket) return res.socket.write(chunk, onWritten)
    this.#isHeadWritten = true
    return res.write(chunk, onWritten)
  }

  /** Whether the client should still be waited for. */
  get needsDrain(): boolean {
    const { socket, writableNeedDrain } = this.#res
    return writableNeedDrain || socket?.writableNeedDrain === true
  }

  /** Calls once when the client need no longer be waited for, after a write that returned false. */
  onceDrained(then: () => void): void {
    const { socket, writableNeedDrain } = this.#res
    if (writableNeedDrain || !socket) this.#res.once('drain', then)
    else socket.once('drain', then)
  }

  end(): void {
    if (this.#isChunked) this.#res.end(LAST_CHUNK)
    else this.#res.end()
  }
}

function chunkOf(piece: Buffer): Buffer {
  const size = piece.length.toString(16)
  const chunk = Buffer.allocUnsafe(size.length + 2 + piece.length + 2)
  let at = chunk.write(size, 'latin1')
  chunk[at++] = CR
  chunk[at++] = LF
  at += piece.copy(chunk, at)
  chunk[at++] = CR
  chunk[at] = LF
  return chunk
}
