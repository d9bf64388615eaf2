/** How long an empty budget takes to fill, ms. */
export const FILL_MS = 60_000
/** Rounding of sums of fractions must not refuse the last request of a full budget; part of one request. */
export const ROUNDING = 0.01

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

/** Budgets of requests, one for each caller. */
export interface Budgets {
  /** Requests in a full budget, and refilled evenly over each minute. */
  readonly perMinute: number
  /**
   * Takes `count` requests from a caller's budget: all of them, or none where they do not all fit. The verdict is a promise only
   * where it must be asked for first; it never rejects.
   */
  take(caller: string, count?: number): Verdict | Promise<Verdict>
  /** Returns `count` requests that were taken and not used. */
  giveBack(caller: string, count?: number): void
}

/** Makes the budgets of a limit. Those of the same name are shared where gateways share anything. */
export type MakeBudgets = (limit: string, perMinute: number) => Budgets

/** Arithmetic of budgets that refill evenly (GCRA, the generic cell rate algorithm): all that is known of one is how far it is used. */
export class Refill {
  /** Time in which one request is refilled, ms. */
  readonly requestMs: number

  constructor(perMinute: number) {
    this.requestMs = FILL_MS / perMinute
  }

  /** Whether a budget may be used as far as this, ms of its refill time. */
  fits(usedMs: number): boolean {
    return usedMs <= FILL_MS + ROUNDING * this.requestMs
  }

  /** Requests that pass at once. */
  free(usedMs: number): number {
    return Math.max(0, Math.floor((FILL_MS - usedMs) / this.requestMs + ROUNDING))
  }

  /** The verdict over requests that a budget, used as far as this with them, has room for. */
  admitted(usedMs: number): Verdict {
    const nextMs = usedMs + this.requestMs
    const retryMs = this.fits(nextMs) ? 0 : nextMs - FILL_MS
    return { isAdmitted: true, remaining: this.free(usedMs), retryMs, fullMs: usedMs }
  }

  /**
   * The verdict over `count` requests that do not fit into a budget used as far as this without them. Where that was found out a
   * moment ago, they may fit by now: then it names the least time.
   */
  refused(usedMs: number, count: number): Verdict {
    const retryMs = Math.max(1, usedMs + count * this.requestMs - FILL_MS)
    return { isAdmitted: false, remaining: this.free(usedMs), retryMs, fullMs: usedMs }
  }
}
