/** How long an empty budget takes to fill, ms. */
const FILL_MS = 60_000
/** Callers remembered at once: a few megabytes. */
const MOST_CALLERS = 32_768
/** Share of the table that is freed at once, so that making room costs little for each new caller. */
const FREED_SHARE = 1 / 4
/** Rounding of sums of fractions must not refuse the last request of a full budget; part of one request. */
const ROUNDING = 0.01

/** What became of a caller's requests. */
export interface Verdict {
  readonly isAdmitted: boolean
  /** Requests that would still pass at once. */
  readonly remaining: number
  /** Until what was refused passes, or, after the last request of a budget, the next one, ms; 0 where one would pass at once. */
  readonly retryMs: number
  /** Until the budget is full again, ms. */
  readonly fullMs: number
}

export interface CallerBudgetsOptions {
  /** Requests in a full budget, and refilled evenly over each minute. */
  readonly perMinute: number
  readonly maxCallers?: number
  /** Monotonic, ms. */
  readonly now?: () => number
}

/**
 * A budget of requests for each caller: at first a whole minute's worth, refilled evenly (GCRA, the generic cell rate algorithm).
 * All that is kept of a caller is when its budget will be full again, on a monotonic clock: setting the clock changes nothing.
 */
export class CallerBudgets {
  readonly perMinute: number
  /** Time in which one request is refilled, ms. */
  readonly #refillMs: number
  readonly #maxCallers: number
  readonly #now: () => number
  /** When each caller's budget is full again. A caller who is not here has a full one. */
  readonly #fullAt = new Map<string, number>()

  constructor({ perMinute, maxCallers = MOST_CALLERS, now = () => performance.now() }: CallerBudgetsOptions) {
    this.perMinute = perMinute
    this.#refillMs = FILL_MS / perMinute
    this.#maxCallers = maxCallers
    this.#now = now
  }

  /** Callers remembered. */
  get size(): number {
    return this.#fullAt.size
  }

  /** Takes `count` requests from a caller's budget: all of them, or none where they do not all fit. */
  take(caller: string, count = 1): Verdict {
    const now = this.#now()
    const refillMs = this.#refillMs
    const fullAt = this.#fullAt.get(caller)
    const usedMs = fullAt === undefined || fullAt <= now ? 0 : fullAt - now
    const fullMs = usedMs + count * refillMs
    if (!this.#fits(fullMs)) return this.#verdict(false, usedMs, fullMs - FILL_MS)
    if (fullAt === undefined && this.#fullAt.size >= this.#maxCallers) this.#makeRoom(now)
    this.#fullAt.set(caller, now + fullMs)
    const nextMs = fullMs + refillMs
    return this.#verdict(true, fullMs, this.#fits(nextMs) ? 0 : nextMs - FILL_MS)
  }

  /** Returns `count` requests that were taken and not used. */
  giveBack(caller: string, count = 1): void {
    const fullAt = this.#fullAt.get(caller)
    if (fullAt !== undefined) this.#fullAt.set(caller, fullAt - count * this.#refillMs)
  }

  /** The caller's budget is full again. */
  forget(caller: string): void {
    this.#fullAt.delete(caller)
  }

  #fits(usedMs: number): boolean {
    return usedMs <= FILL_MS + ROUNDING * this.#refillMs
  }

  #verdict(isAdmitted: boolean, usedMs: number, retryMs: number): Verdict {
    const remaining = Math.max(0, Math.floor((FILL_MS - usedMs) / this.#refillMs + ROUNDING))
    return { isAdmitted, remaining, retryMs, fullMs: usedMs }
  }

  /**
   * Forgets those whose budget is full, which changes nothing; if that is not enough, those who have used least. So a flood of
   * new callers gives nobody who is near the limit a fresh budget.
   */
  #makeRoom(now: number): void {
    this.#forgetFullBy(now, Infinity)
    const free = Math.ceil(this.#maxCallers * FREED_SHARE)
    const excess = this.#fullAt.size - (this.#maxCallers - free)
    if (excess <= 0) return
    const sorted = Float64Array.from(this.#fullAt.values()).sort()
    this.#forgetFullBy(sorted[excess - 1] as number, excess)
  }

  #forgetFullBy(time: number, most: number): void {
    let left = most
    for (const [caller, fullAt] of this.#fullAt) {
      if (fullAt > time) continue
      if (left-- <= 0) return
      this.#fullAt.delete(caller)
    }
  }
}
