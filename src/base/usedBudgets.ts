/** Share of the table that is freed at once, so that making room costs little for each new budget. */
const FREED_SHARE = 1 / 4

/**
 * How far budgets that refill evenly are used. All that is kept of one is when it will be full again, on a monotonic clock: setting the
 * clock changes nothing. A budget that is not here is full.
 */
export class UsedBudgets {
  readonly #most: number
  /** By name, ms of the monotonic clock. */
  readonly #fullAt = new Map<string, number>()

  /** `most`: budgets remembered at once. */
  constructor(most: number) {
    this.#most = most
  }

  /** Budgets remembered. */
  get size(): number {
    return this.#fullAt.size
  }

  /** How far a budget is used, ms of its refill time. */
  usedMs(name: string, now: number): number {
    const fullAt = this.#fullAt.get(name)
    return fullAt === undefined || fullAt <= now ? 0 : fullAt - now
  }

  /** From now on it is used as far as this. */
  use(name: string, usedMs: number, now: number): void {
    if (this.#fullAt.size >= this.#most && !this.#fullAt.has(name)) this.#makeRoom(now)
    this.#fullAt.set(name, now + usedMs)
  }

  /** Returns some of what was used, ms of its refill time. */
  giveBack(name: string, ms: number): void {
    const fullAt = this.#fullAt.get(name)
    if (fullAt !== undefined) this.#fullAt.set(name, fullAt - ms)
  }

  /**
   * Forgets those that are full, which changes nothing; if that is not enough, those that are used least. So a flood of new callers
   * gives no caller who is near the limit a fresh budget.
   */
  #makeRoom(now: number): void {
    this.#forgetFullBy(now, Infinity)
    const free = Math.ceil(this.#most * FREED_SHARE)
    const excess = this.#fullAt.size - (this.#most - free)
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
