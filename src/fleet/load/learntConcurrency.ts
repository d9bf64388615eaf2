import type { PolicyConstants } from './constants.ts'
import { ServedSeconds, type ServedMark } from './servedSeconds.ts'

/** What a node may be found to run at once, jobs. */
const CANDIDATES: readonly number[] = [1, 2, 3, 4, 5, 6, 8, 12, 16]

/** Sizes of jobs scatter more widely than the exponential ones of the reckoning: so many ends say as much as one should. */
const ENDS_PER_EVIDENCE = 5
/** How strongly the assumed concurrency is held against what is seen; times the square of the logarithm of the ratio. */
const DOUBT = 3

/**
 * Learns how many jobs a node runs at once from when our own end. If it runs `c` and `load` are there, each of them gets
 * `min(1, c / load)` of a service, so with a wrong `c` ends come at the wrong times. Each candidate's likelihood is kept, taking
 * its own best service time for granted and job sizes for exponential.
 */
export class LearntConcurrency {
  readonly #constants: PolicyConstants
  /** By each candidate. */
  readonly #served = CANDIDATES.map(() => new ServedSeconds())
  /** The logarithms of the shares of service at the ends of our jobs, summed, by each candidate. */
  readonly #logShares: number[] = CANDIDATES.map(() => 0)
  #ends = 0
  #likeliest: number | undefined

  constructor(constants: PolicyConstants) {
    this.#constants = constants
  }

  /** The likeliest concurrency, jobs; undefined as long as too little was seen. */
  get jobs(): number | undefined {
    return this.#likeliest
  }

  /** So many seconds passed with `own` jobs of ours among `load` on the node. */
  passed(seconds: number, own: number, load: number): void {
    CANDIDATES.forEach((candidate, i) => this.#served[i]!.add(seconds * Math.min(1, candidate / load), own))
  }

  /** The end of one of our jobs was heard of only now: so many seconds with `load` jobs here were not its own. */
  lagged(seconds: number, load: number): void {
    CANDIDATES.forEach((candidate, i) => this.#served[i]!.takeBack(seconds * Math.min(1, candidate / load)))
  }

  mark(): readonly ServedMark[] {
    return this.#served.map((served) => served.mark())
  }

  /** A job that began at the mark was not served. */
  notServed(mark: readonly ServedMark[]): void {
    this.#served.forEach((served, i) => served.takeBack(served.since(mark[i]!)))
  }

  /** One of our jobs was served to its end, with `load` on the node, itself among them. */
  ended(load: number): void {
    CANDIDATES.forEach((candidate, i) => (this.#logShares[i]! += Math.min(0, Math.log(candidate / load))))
    if (++this.#ends > this.#constants.concurrencyMemoryJobs) this.#halve()
    this.#likeliest = this.#ends < this.#constants.concurrencyEvidenceJobs ? undefined : this.#mostLikely()
  }

  /** Seconds of service by one candidate over those by another: what a service time must be multiplied with at a change. */
  ratio(to: number, from: number): number {
    const [served, before] = [to, from].map((jobs) => this.#served[CANDIDATES.indexOf(jobs)]?.sum ?? 0)
    return served && before ? served / before : 1
  }

  #mostLikely(): number | undefined {
    let best: number | undefined
    let bestLog = -Infinity
    CANDIDATES.forEach((candidate, i) => {
      const distance = Math.log(candidate / this.#constants.assumedConcurrencyJobs)
      const evidence = this.#logShares[i]! - this.#ends * Math.log(this.#served[i]!.sum)
      const log = evidence / ENDS_PER_EVIDENCE - DOUBT * distance * distance
      // Infinite where no time was served, which tells nothing.
      if (!Number.isFinite(log) || log <= bestLog) return
      best = candidate
      bestLog = log
    })
    return best
  }

  #halve(): void {
    this.#ends /= 2
    for (const served of this.#served) served.halve()
    this.#logShares.forEach((sum, i) => (this.#logShares[i] = sum / 2))
  }
}
