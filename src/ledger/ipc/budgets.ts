import { Refill } from '../../base/refill.ts'
import { UsedBudgets } from '../../base/usedBudgets.ts'
import type { BudgetGrant, BudgetQuestion, SharedBudget } from '../../replicas/index.ts'

/** Budgets remembered at once: a few megabytes. */
const MOST_BUDGETS = 65_536

/** Smooth limits over all workers: GCRA, the generic cell rate algorithm, on a monotonic clock. */
export class HubBudgets {
  readonly #now: () => number
  readonly #used = new UsedBudgets(MOST_BUDGETS)

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  take({ limit, key, perMinute, wanted, more }: BudgetQuestion): BudgetGrant {
    const now = this.#now()
    const refill = new Refill(perMinute)
    const name = nameOf(limit, key)
    const usedMs = this.#used.usedMs(name, now)
    const granted = refill.grant(usedMs, wanted, more)
    if (granted === 0) return { granted, usedMs }
    const usedWithThese = usedMs + granted * refill.requestMs
    this.#used.use(name, usedWithThese, now)
    return { granted, usedMs: usedWithThese }
  }

  giveBack({ limit, key, perMinute }: SharedBudget, count: number): void {
    this.#used.giveBack(nameOf(limit, key), count * new Refill(perMinute).requestMs)
  }

  charge({ limit, key, perMinute }: SharedBudget, count: number): void {
    const now = this.#now()
    const name = nameOf(limit, key)
    this.#used.use(name, new Refill(perMinute).charged(this.#used.usedMs(name, now), count), now)
  }
}

function nameOf(limit: string, key: string): string {
  return `${limit}\n${key}`
}
