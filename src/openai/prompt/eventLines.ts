import type { Reservation } from '../../base/index.ts'

const NEWLINE = 0x0a
const SPACE = 0x20
const OPEN_BRACE = 0x7b
const DATA = Buffer.from('data:')
const NONE = Buffer.alloc(0)

/** A longer line is not read, bytes, unless it comes in one piece: it would have to be kept. */
const LONGEST_LINE = 64 * 1024

/** Takes the data of an event: JSON, from `start` up to `end`. */
export interface EventTaker {
  event(bytes: Buffer, start: number, end: number): void
  /** One was too long to be read, or there was no room for it. */
  lost(): void
}

/**
 * Finds the data of events (SSE) in an answer that comes in pieces cut anywhere. Whole lines are read where they are; the
 * beginning of one is kept, in memory that the reservation counts.
 */
export class EventLines {
  readonly #taker: EventTaker
  readonly #memory: Reservation
  /** The beginning of a line that has not ended. */
  #kept: Buffer = NONE
  #size = 0
  #isTooLong = false
  #hasEnded = false

  constructor(taker: EventTaker, memory: Reservation) {
    this.#taker = taker
    this.#memory = memory
  }

  see(chunk: Buffer): void {
    let start = 0
    while (!this.#hasEnded) {
      const newline = chunk.indexOf(NEWLINE, start)
      if (newline < 0) break
      if (this.#size > 0 || this.#isTooLong) this.#lineEnded(chunk.subarray(start, newline))
      else this.#line(chunk, start, newline)
      start = newline + 1
    }
    if (start < chunk.length && !this.#hasEnded) this.#keep(chunk.subarray(start))
  }

  /** Lets go of what was kept; what follows is not looked at. */
  end(): void {
    this.#hasEnded = true
    this.#drop()
  }

  #lineEnded(rest: Buffer): void {
    this.#keep(rest)
    if (this.#isTooLong) this.#taker.lost()
    else this.#line(this.#kept, 0, this.#size)
    this.#isTooLong = false
    // Mostly lines come whole.
    this.#drop()
  }

  #keep(part: Buffer): void {
    const size = this.#size + part.length
    if (this.#isTooLong || size > LONGEST_LINE || !this.#hasRoom(size)) {
      this.#isTooLong = true
      this.#drop()
      return
    }
    part.copy(this.#kept, this.#size)
    this.#size = size
  }

  #hasRoom(size: number): boolean {
    const { length } = this.#kept
    if (size <= length) return true
    const larger = Math.max(size, 2 * length, 512)
    if (this.#memory.grow(larger - length)) return false
    const bytes = Buffer.allocUnsafe(larger)
    this.#kept.copy(bytes, 0, 0, this.#size)
    this.#kept = bytes
    return true
  }

  #drop(): void {
    this.#memory.shrink(this.#kept.length)
    this.#kept = NONE
    this.#size = 0
  }

  #line(bytes: Buffer, start: number, end: number): void {
    if (end - start < DATA.length + 2) return
    for (let i = 0; i < DATA.length; i++) if (bytes[start + i] !== DATA[i]) return
    let at = start + DATA.length
    if (bytes[at] === SPACE) at++
    if (bytes[at] === OPEN_BRACE) this.#taker.event(bytes, at, end)
  }
}
