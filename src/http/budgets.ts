import { FILL_MS, type Refill } from '../base/refill.ts'

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

/** Budgets of requests, or of tokens, one for each caller. */
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
  /** Takes `count` whether or not they fit. What does not fit is a debt: nothing passes until it has been refilled. */
  charge(caller: string, count: number): void
}

/**
 * Makes the budgets of a limit. Those of the same name are shared where gateways share anything. `mayOwe`: they are charged, too,
 * and so may be in debt.
 */
export type MakeBudgets = (limit: string, perMinute: number, mayOwe?: boolean) => Budgets

/** The verdict over requests that a budget, used as far as this with them, has room for. */
export function admitted(refill: Refill, usedMs: number): Verdict {
  const nextMs = usedMs + refill.requestMs
  const retryMs = refill.fits(nextMs) ? 0 : nextMs - FILL_MS
  return { isAdmitted: true, remaining: refill.free(usedMs), retryMs, fullMs: usedMs }
}

/**
 * The verdict over `count` requests that do not fit into a budget used as far as this without them. Where that was found out a
 * moment ago, they may fit by now: then it names the least time.
 */
export function refused(refill: Refill, usedMs: number, count: number): Verdict {
  const retryMs = Math.max(1, usedMs + count * refill.requestMs - FILL_MS)
  return { isAdmitted: false, remaining: refill.free(usedMs), retryMs, fullMs: usedMs }
}
