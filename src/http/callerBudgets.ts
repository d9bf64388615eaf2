import { Refill } from '../base/refill.ts'
import { UsedBudgets } from '../base/usedBudgets.ts'
import { admitted, type Budgets, refused, type Verdict } from './budgets.ts'

/** Callers remembered at once: a few megabytes. */
export const MOST_CALLERS = 32_768

export interface CallerBudgetsOptions {
  /** Requests in a full budget, and refilled evenly over each minute. */
  readonly perMinute: number
  readonly maxCallers?: number
  /** How far they are used, where budgets of several rates are the same ones; default: their own. */
  readonly used?: UsedBudgets
  /** Monotonic, ms. */
  readonly now?: () => number
}

/** A budget of requests for each caller: at first a whole minute's worth, refilled evenly (GCRA). */
export class CallerBudgets implements Budgets {
  readonly perMinute: number
  readonly #refill: Refill
  readonly #now: () => number
  readonly #used: UsedBudgets

  constructor({ perMinute, maxCallers = MOST_CALLERS, used, now = () => performance.now() }: CallerBudgetsOptions) {
    this.perMinute = perMinute
    this.#refill = new Refill(perMinute)
    this.#now = now
    this.#used = used ?? new UsedBudgets(maxCallers)
  }

  /** Callers remembered. */
  get size(): number {
    return this.#used.size
  }

  take(caller: string, count = 1): Verdict {
    const now = this.#now()
    const usedMs = this.#used.usedMs(caller, now)
    const fullMs = usedMs + count * this.#refill.requestMs
    if (!this.#refill.fits(fullMs)) return refused(this.#refill, usedMs, count)
    this.#used.use(caller, fullMs, now)
    return admitted(this.#refill, fullMs)
  }

  giveBack(caller: string, count = 1): void {
    this.#used.giveBack(caller, count * this.#refill.requestMs)
  }

  charge(caller: string, count: number): void {
    const now = this.#now()
    this.#used.use(caller, this.#refill.charged(this.#used.usedMs(caller, now), count), now)
  }
}
