import { Refill } from '../base/refill.ts'
import { admitted, type Budgets, refused, type Verdict } from './budgets.ts'

/** Callers remembered at once: a few megabytes. */
export const MOST_CALLERS = 32_768
/** Share of the table that is freed at once, so that making room costs little for each new caller. */
const FREED_SHARE = 1 / 4

export interface CallerBudgetsOptions {
  /** Requests in a full budget, and refilled evenly over each minute. */
  readonly perMinute: number
  readonly maxCallers?: number
  /** Monotonic, ms. */
  readonly now?: () => number
}

/**
 * A budget of requests for each caller: at first a whole minute's worth, refilled evenly (GCRA). All that is kept of a caller is when
 * its budget will be full again, on a monotonic clock: setting the clock changes nothing.
 */
export class CallerBudgets implements Budgets {
  readonly perMinute: number
  readonly #refill: Refill
  readonly #maxCallers: number
  readonly #now: () => number
  /** When each caller's budget is full again. A caller who is not here has a full one. */
  readonly #fullAt = new Map<string, number>()

  constructor({ perMinute, maxCallers = MOST_CALLERS, now = () => performance.now() }: CallerBudgetsOptions) {
    this.perMinute = perMinute
    this.#refill = new Refill(perMinute)
    this.#maxCallers = maxCallers
    this.#now = now
  }

  /** Callers remembered. */
  get size(): number {
    return this.#fullAt.size
  }

  take(caller: string, count = 1): Verdict {
    const now = this.#now()
    const fullAt = this.#fullAt.get(caller)
    const usedMs = fullAt === undefined || fullAt <= now ? 0 : fullAt - now
    const fullMs = usedMs + count * this.#refill.requestMs
    if (!this.#refill.fits(fullMs)) return refused(this.#refill, usedMs, count)
    if (fullAt === undefined && this.#fullAt.size >= this.#maxCallers) this.#makeRoom(now)
    this.#fullAt.set(caller, now + fullMs)
    return admitted(this.#refill, fullMs)
  }

  giveBack(caller: string, count = 1): void {
    const fullAt = this.#fullAt.get(caller)
    if (fullAt !== undefined) this.#fullAt.set(caller, fullAt - count * this.#refill.requestMs)
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
