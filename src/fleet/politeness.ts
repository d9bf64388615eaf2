import { retryAfterSeconds, type RetryAfterHeaders } from '../base/retryAfter.ts'

/*
 * How the gateway keeps to what a backend asks of it: by a 429 with `Retry-After`, or by `RateLimit-*` headers. What is
 * polled and followed keeps a `CallBudget`; what clients send, and look-ups, a `Cooldowns` per backend.
 */

/** The headers of an answer by which a backend says how often it may be called. */
export interface RateLimitHeaders extends RetryAfterHeaders {
  readonly 'ratelimit-limit'?: string | string[] | undefined
  readonly 'ratelimit-remaining'?: string | string[] | undefined
  readonly 'ratelimit-reset'?: string | string[] | undefined
}

/** Calls that are left for surprises; below this calls are only made as often as the budget refills. */
const RESERVE_CALLS = 5
/** Longest pause between two calls, seconds, whatever a backend says; it also keeps timers in their range. */
const LONGEST_PAUSE_SECONDS = 60
/** Cooldowns kept per backend; past this the ended ones are dropped. */
const MAX_COOLDOWNS = 10_000

/** How often a backend lets us call it, learnt from its `RateLimit-*` headers and its 429s. Times are monotonic seconds. */
export class CallBudget {
  readonly #reserveCalls: number
  /** Infinity where it names none. */
  #remaining = Infinity
  #secondsPerCall = 0
  #notBefore = 0
  #isPushedBack = false
  #observedAt = 0

  constructor(reserveCalls = RESERVE_CALLS) {
    this.#reserveCalls = reserveCalls
  }

  /** Takes note of an answer that came at `now`. */
  observe(status: number, headers: RateLimitHeaders, now: number): void {
    const remaining = numberOf(headers['ratelimit-remaining'])
    const limit = numberOf(headers['ratelimit-limit'])
    const reset = numberOf(headers['ratelimit-reset'])
    this.#observedAt = now
    this.#remaining = remaining ?? Infinity
    // After n calls of a burst the budget is whole again in n times the time of one.
    const used = limit !== undefined && remaining !== undefined ? limit - remaining : 0
    this.#secondsPerCall = reset !== undefined && used > 0 ? Math.min(reset / used, LONGEST_PAUSE_SECONDS) : 0
    this.#isPushedBack = status === 429
    if (this.#isPushedBack) {
      this.#remaining = 0
      this.#notBefore = now + retryAfterSeconds(headers)
    }
  }

  /** Until when a 429 forbids calls. */
  get notBefore(): number {
    return this.#notBefore
  }

  /** Whether calls beyond the most needed ones may be made. A 429 limits them by its time alone: see `notBefore`. */
  get hasSpareCalls(): boolean {
    return this.#isPushedBack || this.#remaining >= this.#reserveCalls
  }

  /** From when on the next call may be made. It does not move while nothing is observed. */
  get nextCallAt(): number {
    if (this.#remaining >= this.#reserveCalls) return this.#notBefore
    return Math.max(this.#notBefore, this.#observedAt + this.#secondsPerCall * 1.05)
  }

  /** How many calls may follow each other at once. */
  get burst(): number {
    return Math.max(1, this.#remaining - this.#reserveCalls)
  }
}

/** What must not be sent to one backend for a while, because it answered 429: an endpoint, for one caller where that matters. */
export class Cooldowns {
  readonly #ends = new Map<string, number>()
  #latestEnd = -Infinity

  /** When all of them are over, seconds. */
  get latestEnd(): number {
    return this.#latestEnd
  }

  /** No more of `what` until `until`, seconds. */
  set(what: string, until: number, now: number): void {
    const ends = this.#ends
    if (ends.size >= MAX_COOLDOWNS) {
      for (const [key, end] of ends) if (end <= now) ends.delete(key)
      if (ends.size >= MAX_COOLDOWNS) return
    }
    ends.set(what, until)
    this.#latestEnd = Math.max(this.#latestEnd, until)
  }

  /** Seconds until `what` may be sent; 0 when it may. */
  secondsLeft(what: string, now: number): number {
    if (this.#ends.size === 0) return 0
    const until = this.#ends.get(what)
    if (until === undefined) return 0
    if (until > now) return until - now
    this.#ends.delete(what)
    return 0
  }
}

function numberOf(header: string | string[] | undefined): number | undefined {
  const value = Number(header ?? NaN)
  return Number.isFinite(value) ? value : undefined
}
