import { Refill } from '../../base/refill.ts'
import type { BudgetGrant, BudgetQuestion } from '../../replicas/index.ts'

/** Budgets remembered at once: a few megabytes. */
const MOST_BUDGETS = 65_536
/** Share of the table that is freed at once, so that making room costs little for each new caller. */
const FREED_SHARE = 1 / 4

/** Smooth limits over all workers: GCRA, the generic cell rate algorithm, on a monotonic clock. */
export class HubBudgets {
  readonly #now: () => number
  /** When each budget is full again. One that is not here is full. */
  readonly #fullAt = new Map<string, number>()

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  take({ limit, key, perMinute, wanted, more }: BudgetQuestion): BudgetGrant {
    const now = this.#now()
    const refill = new Refill(perMinute)
    const name = nameOf(limit, key)
    const fullAt = this.#fullAt.get(name)
    const usedMs = Math.max(0, (fullAt ?? 0) - now)
    const granted = refill.grant(usedMs, wanted, more)
    if (granted === 0) return { granted, usedMs }
    if (fullAt === undefined && this.#fullAt.size >= MOST_BUDGETS) this.#makeRoom(now)
    this.#fullAt.set(name, now + usedMs + granted * refill.requestMs)
    return { granted, usedMs: usedMs + granted * refill.requestMs }
  }

  giveBack({ limit, key, perMinute }: Pick<BudgetQuestion, 'limit' | 'key' | 'perMinute'>, count: number): void {
    const name = nameOf(limit, key)
    const fullAt = this.#fullAt.get(name)
    if (fullAt !== undefined) this.#fullAt.set(name, fullAt - count * new Refill(perMinute).requestMs)
  }

  /** Forgets the budgets that are full, or else the least used ones, so that a flood of new callers gives nobody a fresh one. */
  #makeRoom(now: number): void {
    this.#forgetFullBy(now, Infinity)
    const excess = this.#fullAt.size - Math.floor(MOST_BUDGETS * (1 - FREED_SHARE))
    if (excess <= 0) return
    const sorted = Float64Array.from(this.#fullAt.values()).sort()
    this.#forgetFullBy(sorted[excess - 1] as number, excess)
  }

  #forgetFullBy(time: number, most: number): void {
    let left = most
    for (const [name, fullAt] of this.#fullAt) {
      if (fullAt > time) continue
      if (left-- <= 0) return
      this.#fullAt.delete(name)
    }
  }
}

function nameOf(limit: string, key: string): string {
  return `${limit}\n${key}`
}
