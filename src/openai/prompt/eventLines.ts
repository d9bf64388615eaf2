import type { Reservation } from '../../base/index.ts'
import { KeptBytes } from './keptBytes.ts'

const NEWLINE = 0x0a
const SPACE = 0x20
const OPEN_BRACE = 0x7b
const DATA = Buffer.from('data:')

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
  /** The beginning of a line that has not ended. */
  readonly #kept: KeptBytes
  #isTooLong = false
  #hasEnded = false

  constructor(taker: EventTaker, memory: Reservation) {
    this.#taker = taker
    this.#kept = new KeptBytes(memory, LONGEST_LINE)
  }

  see(chunk: Buffer): void {
    let start = 0
    while (!this.#hasEnded) {
      const newline = chunk.indexOf(NEWLINE, start)
      if (newline < 0) break
      if (this.#kept.size > 0 || this.#isTooLong) this.#lineEnded(chunk.subarray(start, newline))
      else this.#line(chunk, start, newline)
      start = newline + 1
    }
    if (start < chunk.length && !this.#hasEnded) this.#keep(chunk.subarray(start))
  }

  /** Lets go of what was kept; what follows is not looked at. */
  end(): void {
    this.#hasEnded = true
    this.#kept.drop()
  }

  #lineEnded(rest: Buffer): void {
    const kept = this.#kept
    this.#keep(rest)
    if (this.#isTooLong) this.#taker.lost()
    else this.#line(kept.buffer, 0, kept.size)
    this.#isTooLong = false
    // Mostly lines come whole.
    kept.drop()
  }

  #keep(part: Buffer): void {
    if (!this.#isTooLong && !this.#kept.add(part)) this.#isTooLong = true
  }

  #line(bytes: Buffer, start: number, end: number): void {
    if (end - start < DATA.length + 2) return
    for (let i = 0; i < DATA.length; i++) if (bytes[start + i] !== DATA[i]) return
    let at = start + DATA.length
    if (bytes[at] === SPACE) at++
    if (bytes[at] === OPEN_BRACE) this.#taker.event(bytes, at, end)
  }
}
