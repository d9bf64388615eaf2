/** Seconds of the machine's monotonic clock, which all processes of a machine share: their periods are the same. */
const SECONDS_AT_ORIGIN = readMachineSeconds() - performance.now() / 1000

function readMachineSeconds(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds + nanoseconds / 1e9
}

/** Monotonic seconds, the same in all processes of this machine. */
export function machineSeconds(): number {
  return SECONDS_AT_ORIGIN + performance.now() / 1000
}

/**
 * Counters by period of time: a ring of the latest periods, each with a fixed number of counters in one array. Adding allocates
 * nothing; a period that is over makes room when the next count or reader comes.
 */
export class PeriodCounts {
  readonly periods: number
  /** Length of a period, seconds. */
  readonly seconds: number
  /** Counters of a period. */
  readonly width: number
  /** The counters of all periods: see `at`. */
  readonly counts: Float64Array
  #newest = -Infinity

  constructor({ periods, seconds, width }: { periods: number; seconds: number; width: number }) {
    this.periods = periods
    this.seconds = seconds
    this.width = width
    this.counts = new Float64Array(periods * width)
  }

  /** Index in `counts` of the first counter of the period of `now`, seconds. */
  at(now: number): number {
    const period = Math.floor(now / this.seconds)
    if (period > this.#newest) this.#turnTo(period)
    return this.#offsetOf(this.#newest)
  }

  /** Number of the newest period, as of `now`. */
  newest(now: number): number {
    this.at(now)
    return this.#newest
  }

  /** The values of one counter in all periods up to that of `now`, the oldest first. */
  series(counter: number, now: number): number[] {
    const oldest = this.newest(now) - this.periods + 1
    const values: number[] = []
    for (let period = oldest; period < oldest + this.periods; period++) {
      values.push(this.counts[this.#offsetOf(period) + counter] as number)
    }
    return values
  }

  /** The counters of each period up to that of `now` from one of them on, the oldest first. */
  countersFrom(counter: number, now: number): number[][] {
    const oldest = this.newest(now) - this.periods + 1
    const periods: number[][] = []
    for (let period = oldest; period < oldest + this.periods; period++) {
      const offset = this.#offsetOf(period)
      periods.push(Array.from(this.counts.subarray(offset + counter, offset + this.width)))
    }
    return periods
  }

  /** The sums of all counters over all periods up to that of `now`. */
  sums(now: number): Float64Array {
    this.at(now)
    const { counts, width } = this
    const sums = new Float64Array(width)
    for (let offset = 0; offset < counts.length; offset += width) {
      for (let i = 0; i < width; i++) sums[i]! += counts[offset + i] as number
    }
    return sums
  }

  /** Moves all counts to another of the same shape, and has none then. */
  moveTo(other: PeriodCounts, now: number): void {
    this.at(now)
    other.at(now)
    for (let i = 0; i < this.counts.length; i++) other.counts[i]! += this.counts[i] as number
    this.counts.fill(0)
  }

  #turnTo(period: number): void {
    const first = Math.max(this.#newest + 1, period - this.periods + 1)
    for (let next = first; next <= period; next++) {
      const offset = this.#offsetOf(next)
      this.counts.fill(0, offset, offset + this.width)
    }
    this.#newest = period
  }

  #offsetOf(period: number): number {
    const place = period % this.periods
    return (place < 0 ? place + this.periods : place) * this.width
  }
}
