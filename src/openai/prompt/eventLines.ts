const NEWLINE = 0x0a
const SPACE = 0x20
const OPEN_BRACE = 0x7b
const DATA = Buffer.from('data:')
const NONE = Buffer.alloc(0)

/** A longer line is not read, bytes: it would have to be kept. */
const LONGEST_LINE = 256 * 1024

/** Takes the data of an event: JSON, from `start` up to `end`. */
export interface EventTaker {
  event(bytes: Buffer, start: number, end: number): void
  /** One was too long to be read. */
  lost(): void
}

/** Finds the data of events (SSE) in an answer that comes in pieces cut anywhere. Whole lines are read where they are. */
export class EventLines {
  readonly #taker: EventTaker
  /** The beginning of a line that has not ended. */
  #kept: Buffer = NONE
  #size = 0
  #isTooLong = false

  constructor(taker: EventTaker) {
    this.#taker = taker
  }

  see(chunk: Buffer): void {
    let start = 0
    for (;;) {
      const newline = chunk.indexOf(NEWLINE, start)
      if (newline < 0) break
      if (this.#size > 0 || this.#isTooLong) this.#lineEnded(chunk.subarray(start, newline))
      else this.#line(chunk, start, newline)
      start = newline + 1
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start))
  }

  #lineEnded(rest: Buffer): void {
    this.#keep(rest)
    if (this.#isTooLong) this.#taker.lost()
    else this.#line(this.#kept, 0, this.#size)
    this.#size = 0
    this.#isTooLong = false
    // Mostly lines come whole.
    this.#kept = NONE
  }

  #keep(part: Buffer): void {
    const size = this.#size + part.length
    if (this.#isTooLong || size > LONGEST_LINE) {
      this.#isTooLong = true
      this.#kept = NONE
      this.#size = 0
      return
    }
    if (size > this.#kept.length) {
      const larger = Buffer.allocUnsafe(Math.max(size, 2 * this.#kept.length, 512))
      this.#kept.copy(larger, 0, 0, this.#size)
      this.#kept = larger
    }
    part.copy(this.#kept, this.#size)
    this.#size = size
  }

  #line(bytes: Buffer, start: number, end: number): void {
    if (end - start < DATA.length + 2) return
    for (let i = 0; i < DATA.length; i++) if (bytes[start + i] !== DATA[i]) return
    let at = start + DATA.length
    if (bytes[at] === SPACE) at++
    if (bytes[at] === OPEN_BRACE) this.#taker.event(bytes, at, end)
  }
}
