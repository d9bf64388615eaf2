import type { Socket } from 'node:net'

/** The node's bytes cannot be the start of an answer to a request of ours. */
class NotHttpError extends Error {
  readonly code = 'ERR_NOT_HTTP'
}

const LF = 0x0a
const CR = 0x0d
const ZERO = 0x30
const ONE = 0x31
const FIVE = 0x35
const VERSION = Buffer.from('HTTP/1.')
/** The first digit of the status in `HTTP/1.1 200`, and the length up to its last. */
const STATUS_AT = 9
const STATUS_END = 12

/** What one connection has carried. */
export interface ConnectionRecord {
  /** Whether a request that was not the first was sent, and no byte has come since. */
  readonly isReuseUnanswered: boolean
  /** ms without a byte from the node, until now or until the request that waits for its answer was sent. */
  idleMs(): number
}

/** Where the next byte of the connection belongs. */
type Place = 'final answer' | 'status line' | 'interim head' | 'other protocol'

/**
 * Takes interim answers (1xx, RFC 9110, 15.2) off a connection before the parser of undici meets them: an unasked
 * `100 Continue`, which is legal, would end the request with an error there, and a `101` would look like a closed connection.
 * Where `maySwitch`, a `101` reaches the parser, and everything behind it is left alone.
 * Needs requests that are not pipelined: each write begins a request, and the next bytes read begin its answer.
 */
export function passOverInterimAnswers(socket: Socket, { maySwitch = false } = {}): ConnectionRecord {
  const reader = new AnswerStartReader(maySwitch)
  const read = socket.read.bind(socket) as (size?: number) => Buffer | null
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean
  socket.write = (...args: unknown[]): boolean => {
    reader.requestWritten()
    return write(...args)
  }
  socket.read = (size?: number): Buffer | null => {
    const chunk = read(size)
    if (chunk === null) return null
    reader.heard()
    if (reader.place === 'final answer' || reader.place === 'other protocol') return chunk
    try {
      return reader.read(chunk)
    } catch (error) {
      socket.destroy(error as Error)
      return null
    }
  }
  return reader
}

class AnswerStartReader implements ConnectionRecord {
  place: Place = 'final answer'
  #requests = 0
  /** A request was written, and nothing was read since. */
  #isUnanswered = false
  /** Monotonic ms of the last byte read; of the connecting before. */
  #heardAt = performance.now()
  /** Monotonic ms at which the last request was written. */
  #sentAt = 0
  readonly #maySwitch: boolean
  /** Bytes of a status line that is too short to tell. */
  #held: Buffer | undefined
  /** 1 after a line feed, 2 after a line feed and a carriage return: another line feed ends the head. */
  #lineEnd = 0

  constructor(maySwitch: boolean) {
    this.#maySwitch = maySwitch
  }

  get isReuseUnanswered(): boolean {
    return this.#isUnanswered && this.#requests > 1
  }

  idleMs(): number {
    return (this.#isUnanswered ? this.#sentAt : performance.now()) - this.#heardAt
  }

  /** A part of a request goes out, its head first. */
  requestWritten(): void {
    if (this.place === 'other protocol') return
    this.place = 'status line'
    if (this.#isUnanswered) return
    this.#isUnanswered = true
    this.#requests++
    this.#sentAt = performance.now()
  }

  heard(): void {
    this.#isUnanswered = false
    this.#heardAt = performance.now()
  }

  /**
   * What the parser gets of these bytes; `null` for nothing yet.
   *
   * @throws NotHttpError for a status that no answer of ours may have
   */
  read(chunk: Buffer): Buffer | null {
    let bytes = this.#held ? Buffer.concat([this.#held, chunk]) : chunk
    this.#held = undefined
    for (;;) {
      if (this.place === 'interim head') {
        const end = this.#endOfHead(bytes)
        if (end < 0) return null
        bytes = bytes.subarray(end)
        this.place = 'status line'
      }
      if (bytes.length === 0) return null
      // Anything else is left to the parser, which knows what is wrong with it.
      if (!isStatusLine(bytes)) break
      if (bytes.length < STATUS_END) {
        this.#held = bytes
        return null
      }
      const first = bytes[STATUS_AT] as number
      // RFC 9110, 15: other statuses are invalid, and no client of ours should have to guess what they mean.
      if (first === ZERO || first > FIVE) throw new NotHttpError('the status of the answer is not from 100 to 599')
      if (first !== ONE) break
      if (bytes[STATUS_AT + 1] === ZERO && bytes[STATUS_AT + 2] === ONE) {
        if (!this.#maySwitch) throw new NotHttpError('the answer switches protocols, for which nothing asked')
        this.place = 'other protocol'
        return bytes
      }
      this.place = 'interim head'
      this.#lineEnd = 0
    }
    this.place = 'final answer'
    return bytes
  }

  /** Index behind the empty line that ends a head, or -1 where it is still to come. */
  #endOfHead(bytes: Buffer): number {
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at]
      if (byte === LF) {
        if (this.#lineEnd > 0) return at + 1
        this.#lineEnd = 1
      } else {
        this.#lineEnd = byte === CR && this.#lineEnd === 1 ? 2 : 0
      }
    }
    return -1
  }
}

/** As far as can be told from these bytes. */
function isStatusLine(bytes: Buffer): boolean {
  const length = Math.min(bytes.length, VERSION.length)
  return bytes.compare(VERSION, 0, length, 0, length) === 0
}
