/** The generic cell rate algorithm as quart-rate-limiter runs it: one budget an endpoint and caller. */

export interface Verdict {
  limit: number
  remaining: number
  /** Whole seconds until the whole budget is there again. */
  reset: number
  /** Whole seconds, rounded down (so possibly 0), when the request is refused. */
  retryAfter: number | undefined
}

/** Milliseconds in which `limit` requests are allowed. */
const PERIOD_MS = 60_000

export class RateLimiter {
  /** Theoretical arrival time of the next request, by budget. */
  readonly #arrivals = new Map<string, number>()

  /** Counts a request, unless it is refused: a refusal costs nothing. */
  take(key: string, limit: number, nowMs: number): Verdict {
    const intervalMs = PERIOD_MS / limit
    const arrival = Math.max(this.#arrivals.get(key) ?? 0, nowMs)
    const earliest = arrival - (PERIOD_MS - intervalMs)
    if (earliest > nowMs) return verdict(limit, arrival - nowMs, Math.floor((earliest - nowMs) / 1000))
    this.#arrivals.set(key, arrival + intervalMs)
    return verdict(limit, arrival + intervalMs - nowMs, undefined)
  }

  clear(): void {
    this.#arrivals.clear()
  }
}

function verdict(limit: number, aheadMs: number, retryAfter: number | undefined): Verdict {
  // The real one works its headers out after the request, a moment later than its verdict.
  const laterMs = Math.max(0, aheadMs - 1)
  return {
    limit,
    remaining: Math.floor((PERIOD_MS - laterMs) / (PERIOD_MS / limit)),
    reset: Math.floor(laterMs / 1000),
    retryAfter,
  }
}
