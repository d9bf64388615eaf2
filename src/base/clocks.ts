/** Two readings of the wall clock that differ by no more than this from the time that has passed are the same clock. */
const TOLERANCE_MS = 1000
/** A clock that was set is believed once it has stayed there for this long. */
const BELIEVED_AFTER_MS = 10 * 60 * 1000

/** The clocks of the machine. */
interface Clocks {
  /** Milliseconds since the epoch, which an operator or a time server may set. */
  readonly wall: () => number
  /** Monotonic milliseconds. */
  readonly monotonic: () => number
}

const SYSTEM: Clocks = { wall: () => Date.now(), monotonic: () => performance.now() }

/**
 * Dates for what expires. When the wall clock is set, the time by which it went before goes on beside it until the new
 * time has stood for ten minutes. Until then a date is written by the later of the two and expires by the earlier, so
 * that a clock set forward or back for a while never makes anything expire too soon.
 */
export class SteadyClock {
  readonly #clocks: Clocks
  /** What the wall clock showed when the monotonic one stood at 0, as far as it is believed. */
  #believedOffset: number
  /** The same for a wall clock that was set, and since when it has been so. */
  #newOffset: { readonly value: number; readonly since: number } | undefined

  constructor(clocks: Clocks = SYSTEM) {
    this.#clocks = clocks
    this.#believedOffset = clocks.wall() - clocks.monotonic()
  }

  /** The date to write on what begins to age now. */
  stampMs(): number {
    const { wall, believed } = this.#read()
    return Math.max(wall, believed)
  }

  /** What was written before this date minus its time to live has expired. Must be asked now and then to notice changes. */
  expiryMs(): number {
    const { wall, believed } = this.#read()
    return Math.min(wall, believed)
  }

  #read(): { wall: number; believed: number } {
    const monotonic = this.#clocks.monotonic()
    const wall = this.#clocks.wall()
    this.#weigh(wall - monotonic, monotonic)
    return { wall, believed: monotonic + this.#believedOffset }
  }

  #weigh(offset: number, monotonic: number): void {
    if (isSame(offset, this.#believedOffset)) {
      this.#believedOffset = offset
      this.#newOffset = undefined
    } else if (this.#newOffset === undefined || !isSame(offset, this.#newOffset.value)) {
      this.#newOffset = { value: offset, since: monotonic }
    } else if (monotonic - this.#newOffset.since >= BELIEVED_AFTER_MS) {
      this.#believedOffset = offset
      this.#newOffset = undefined
    }
  }
}

function isSame(oneOffset: number, otherOffset: number): boolean {
  return Math.abs(oneOffset - otherOffset) <= TOLERANCE_MS
}
