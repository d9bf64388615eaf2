import type { IncomingHttpHeaders } from 'node:http'
import { retryAfterSeconds } from '../../base/retryAfter.ts'

/** Calls that are left for surprises; below this we only ask as often as the budget refills. */
const RESERVE_CALLS = 5
/** However slowly a budget is said to refill, seconds; it also keeps timers in their range. */
const LONGEST_PAUSE_SECONDS = 60

/** How often a node lets us ask, learnt from its `RateLimit-*` headers and its 429s. Times are monotonic seconds. */
export class CallBudget {
  #remaining = Infinity
  #secondsPerCall = 0
  #notBefore = 0
  #observedAt = 0

  /** Takes note of an answer that came at `now`. */
  observe(status: number, headers: IncomingHttpHeaders, now: number): void {
    const remaining = numberOf(headers['ratelimit-remaining'])
    const limit = numberOf(headers['ratelimit-limit'])
    const reset = numberOf(headers['ratelimit-reset'])
    this.#observedAt = now
    this.#remaining = remaining ?? Infinity
    // After n calls of a burst the budget is whole again in n times the time of one.
    const used = limit !== undefined && remaining !== undefined ? limit - remaining : 0
    this.#secondsPerCall = reset !== undefined && used > 0 ? Math.min(reset / used, LONGEST_PAUSE_SECONDS) : 0
    if (status === 429) {
      this.#remaining = 0
      this.#notBefore = now + retryAfterSeconds(headers)
    }
  }

  /** From when on the next call may be made. It does not move while nothing is observed. */
  get nextCallAt(): number {
    if (this.#remaining >= RESERVE_CALLS) return this.#notBefore
    return Math.max(this.#notBefore, this.#observedAt + this.#secondsPerCall * 1.05)
  }

  /** How many calls may follow each other at once. */
  get burst(): number {
    return Math.max(1, this.#remaining - RESERVE_CALLS)
  }
}

function numberOf(header: string | string[] | undefined): number | undefined {
  const value = Number(header ?? NaN)
  return Number.isFinite(value) ? value : undefined
}
