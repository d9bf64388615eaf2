import type { EngineCounts } from '../engines/engineLoad.ts'
import type { PolicyConstants } from './constants.ts'
import type { Row } from './rows.ts'

/** What a node may be found to run at once, jobs. */
const CANDIDATES: readonly number[] = [1, 2, 3, 4, 5, 6, 8, 12, 16]

/** Numbers of a row. */
export const CONCURRENCY_NUMBERS = 1 + 2 * CANDIDATES.length

/** Sizes of jobs scatter more widely than the exponential ones of the reckoning: so many ends say as much as one should. */
const ENDS_PER_EVIDENCE = 5
/** How strongly the assumed concurrency is held against what is seen; times the square of the logarithm of the ratio. */
const DOUBT = 3

/** A moment of the service that jobs get, by each candidate, so that what a job had since can be taken back. */
export interface ConcurrencyMark {
  readonly of: LearntConcurrency
  readonly ofOne: readonly number[]
  readonly halvings: number
}

/**
 * Learns how many jobs a node runs at once from when our own end. If it runs `c` and `load` are there, each of them gets
 * `min(1, c / load)` of a service, so with a wrong `c` ends come at the wrong times. Each candidate's likelihood is kept, taking
 * its own best service time for granted and job sizes for exponential.
 */
export class LearntConcurrency {
  readonly #constants: PolicyConstants
  /** Seconds of service that our jobs have had, by each candidate. */
  readonly #served: number[] = CANDIDATES.map(() => 0)
  /** What one of them that has been here from the beginning would have had of it. */
  readonly #ofOne: number[] = CANDIDATES.map(() => 0)
  #halvings = 0
  /** The logarithms of the shares of service at the ends of our jobs, summed, by each candidate. */
  readonly #logShares: number[] = CANDIDATES.map(() => 0)
  #ends = 0
  #likeliest: number | undefined
  /** Most that it runs at once by its own count, jobs; undefined where it has not shown that it is full. */
  #limit: number | undefined
  /** What it showed at the last poll, where requests waited there. */
  #shownFull: EngineCounts | undefined

  constructor(constants: PolicyConstants) {
    this.#constants = constants
  }

  /** Ends, then of all candidates the seconds served, then the logarithms of the shares; undefined until one of our jobs has ended. */
  get row(): Row | undefined {
    return this.#ends === 0 ? undefined : [this.#ends, ...this.#served, ...this.#logShares]
  }

  /** Goes on from what was kept, which counts for `weight` (0 to 1) of what it did. */
  takeUp(row: Row, weight: number): void {
    const [ends = 0, ...sums] = row
    if (row.length !== CONCURRENCY_NUMBERS || ends <= 0 || ends > 2 * this.#constants.concurrencyMemoryJobs) return
    this.#ends = ends * weight
    for (let i = 0; i < CANDIDATES.length; i++) {
      this.#served[i] = Math.max(0, sums[i]!) * weight
      this.#logShares[i] = Math.min(0, sums[CANDIDATES.length + i]!) * weight
    }
    this.#judge()
  }

  /** The likeliest concurrency, jobs, at most what it runs while others wait there; undefined as long as too little was seen. */
  get jobs(): number | undefined {
    if (this.#limit === undefined) return this.#likeliest
    const limit = CANDIDATES.findLast((candidate) => candidate <= this.#limit!) ?? 1
    const believed = this.#likeliest ?? this.#constants.assumedConcurrencyJobs
    return limit < believed ? limit : this.#likeliest
  }

  /** Whether the jobs here have taught it, or a default stands, for people. */
  get origin(): 'learnt' | 'default' {
    return this.jobs === undefined ? 'default' : 'learnt'
  }

  /**
   * The backend's own count. It runs all it can while others wait there, so a higher concurrency is wrong. One poll is no
   * evidence: requests that have just arrived wait for the next step of an engine.
   */
  sawQueue(shown: EngineCounts): void {
    const { running, waiting, keptSeconds } = shown
    const last = this.#shownFull
    // The same numbers again may be the same count.
    if (keptSeconds !== undefined && last?.running === running && last.waiting === waiting) return
    this.#shownFull = waiting > 0 ? shown : undefined
    if (waiting > 0 && last) this.#limit = Math.max(running, last.running)
    if (waiting === 0 && this.#limit !== undefined) this.#limit = Math.max(running, this.#limit)
  }

  /** Its counts are no longer known: the next one has none before it. */
  forgetQueue(): void {
    this.#shownFull = undefined
  }

  /** So many seconds passed with `own` jobs of ours among `load` on the node. */
  passed(seconds: number, own: number, load: number): void {
    for (let i = 0; i < CANDIDATES.length; i++) {
      const served = seconds * Math.min(1, CANDIDATES[i]! / load)
      this.#ofOne[i]! += served
      this.#served[i]! += served * own
    }
  }

  /** The end of one of our jobs was heard of only now: so many seconds with `load` jobs here were not its own. */
  lagged(seconds: number, load: number): void {
    for (let i = 0; i < CANDIDATES.length; i++) this.#takeBack(i, seconds * Math.min(1, CANDIDATES[i]! / load))
  }

  mark(): ConcurrencyMark {
    return { of: this, ofOne: this.#ofOne.slice(), halvings: this.#halvings }
  }

  /** A job that began at the mark was not served. */
  notServed({ of, ofOne, halvings }: ConcurrencyMark): void {
    const left = of === this ? 1 / 2 ** (this.#halvings - halvings) : 0
    for (let i = 0; i < CANDIDATES.length; i++) this.#takeBack(i, this.#ofOne[i]! - ofOne[i]! * left)
  }

  /** One of our jobs was served to its end, with `load` on the node, itself among them. */
  ended(load: number): void {
    for (let i = 0; i < CANDIDATES.length; i++) this.#logShares[i]! += Math.min(0, Math.log(CANDIDATES[i]! / load))
    if (++this.#ends > this.#constants.concurrencyMemoryJobs) this.#halve()
    this.#judge()
  }

  /** Seconds of service by one candidate over those by another: what a service time must be multiplied with at a change. */
  ratio(to: number, from: number): number {
    const [served, before] = [to, from].map((jobs) => this.#served[CANDIDATES.indexOf(jobs)] ?? 0)
    return served && before ? served / before : 1
  }

  #judge(): void {
    this.#likeliest = this.#ends < this.#constants.concurrencyEvidenceJobs ? undefined : this.#mostLikely()
  }

  #mostLikely(): number | undefined {
    let best: number | undefined
    let bestLog = -Infinity
    for (let i = 0; i < CANDIDATES.length; i++) {
      const candidate = CANDIDATES[i]!
      const distance = Math.log(candidate / this.#constants.assumedConcurrencyJobs)
      const evidence = this.#logShares[i]! - this.#ends * Math.log(this.#served[i]!)
      const log = evidence / ENDS_PER_EVIDENCE - DOUBT * distance * distance
      // Infinite where no time was served, which tells nothing.
      if (!Number.isFinite(log) || log <= bestLog) continue
      best = candidate
      bestLog = log
    }
    return best
  }

  #takeBack(i: number, seconds: number): void {
    this.#served[i] = Math.max(0, this.#served[i]! - seconds)
  }

  #halve(): void {
    this.#ends /= 2
    this.#halvings++
    for (const sums of [this.#served, this.#ofOne, this.#logShares]) sums.forEach((sum, i) => (sums[i] = sum / 2))
  }
}
