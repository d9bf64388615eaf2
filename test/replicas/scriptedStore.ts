import { Refill } from '../../src/base/refill.ts'
import type { BudgetGrant, BudgetQuestion, SharedBudget, SharedBudgets } from '../../src/replicas/index.ts'

/** A time that stands still until a test sets it forward. */
export interface SetClock {
  ms: number
}

/** A store of budgets in this process, on the test's clock, that is late or away on command. */
export class ScriptedStore implements SharedBudgets {
  readonly #clock: SetClock
  /** When the budget of each limit and caller is full again. */
  readonly #fullAt = new Map<string, number>()
  /** Answers take this long, ms of the test's clock. */
  latencyMs = 0
  isAway = false
  questions = 0
  /** Granted and not given back, by limit and caller. */
  readonly granted = new Map<string, number>()

  constructor(clock: SetClock) {
    this.#clock = clock
  }

  async take({ limit, key, perMinute, wanted, more }: BudgetQuestion): Promise<BudgetGrant> {
    this.questions++
    if (this.isAway) throw new Error('away')
    const { name, usedMs, refill } = this.#budget(limit, key, perMinute)
    const granted = refill.grant(usedMs, wanted, more)
    const usedAfterMs = usedMs + granted * refill.requestMs
    this.#fullAt.set(name, this.#clock.ms + usedAfterMs)
    this.granted.set(name, (this.granted.get(name) ?? 0) + granted)
    if (this.latencyMs > 0) await new Promise((resolve) => setTimeout(resolve, this.latencyMs))
    return { granted, usedMs: usedAfterMs }
  }

  async giveBack({ limit, key, perMinute }: SharedBudget, count: number): Promise<void> {
    if (this.isAway) return
    const { name, usedMs, refill } = this.#budget(limit, key, perMinute)
    this.#fullAt.set(name, this.#clock.ms + usedMs - count * refill.requestMs)
    this.granted.set(name, (this.granted.get(name) ?? 0) - count)
  }

  async charge({ limit, key, perMinute }: SharedBudget, count: number): Promise<void> {
    if (this.isAway) return
    const { name, usedMs, refill } = this.#budget(limit, key, perMinute)
    this.#fullAt.set(name, this.#clock.ms + refill.charged(usedMs, count))
    this.granted.set(name, (this.granted.get(name) ?? 0) + count)
  }

  #budget(limit: string, key: string, perMinute: number) {
    const name = `${limit} ${key}`
    return { name, usedMs: Math.max(0, (this.#fullAt.get(name) ?? 0) - this.#clock.ms), refill: new Refill(perMinute) }
  }
}
