/** How long an empty budget takes to fill, ms. */
export const FILL_MS = 60_000
/**
 * The most that a budget may be used beyond empty, ms of its refill time. So a backend that reports a nonsensical amount, or a store
 * whose clock is set back, locks a caller out for an hour at most.
 */
export const MOST_DEBT_MS = 3_600_000
/** Rounding of sums of fractions must not refuse the last request of a full budget; part of one request. */
export const ROUNDING = 0.01
/** Of what is left beyond the wanted places, one asker gets at most this part in advance. */
export const ADVANCE_SHARE = 1 / 4

/**
 * Arithmetic of budgets that refill evenly (GCRA, the generic cell rate algorithm). All that is known of one is how far it is used,
 * in ms of its refill time: 0 is full, FILL_MS empty, more a debt.
 */
export class Refill {
  /** Time in which one request is refilled, ms. */
  readonly requestMs: number

  constructor(perMinute: number) {
    this.requestMs = FILL_MS / perMinute
  }

  /** Whether a budget may be used as far as this. */
  fits(usedMs: number): boolean {
    return usedMs <= FILL_MS + ROUNDING * this.requestMs
  }

  /** How far a budget is used after a charge, whether or not that fits: see MOST_DEBT_MS. */
  charged(usedMs: number, count: number): number {
    return Math.min(usedMs + count * this.requestMs, FILL_MS + MOST_DEBT_MS)
  }

  /** Requests that pass at once. */
  free(usedMs: number): number {
    return Math.max(0, Math.floor((FILL_MS - usedMs) / this.requestMs + ROUNDING))
  }

  /** Of these requests: those that are wanted, or none, and of what is left then a part of those that may be had in advance. */
  grant(usedMs: number, wanted: number, more: number): number {
    const left = this.free(usedMs) - wanted
    return left < 0 ? 0 : wanted + Math.min(more, Math.floor(left * ADVANCE_SHARE))
  }
}
