import { Refill } from '../base/refill.ts'
import type { Budgets, Verdict } from '../http/budgets.ts'
import { CallerBudgets, MOST_CALLERS } from '../http/callerBudgets.ts'
import { CallerPlaces, type Waiting } from './callerPlaces.ts'
import type { BudgetGrant, BudgetQuestion, SharedBudget, SharedBudgets } from './coordination.ts'
import { afterRunningFor } from './runningTime.ts'

/** Places that rest for this long are given back, and as many as were used within it are taken in advance, ms. */
const REST_MS = 250
/** A store that takes longer to answer counts as away, ms. */
const LATE_MS = 100
/** While the store is away it is asked this often, ms. */
const ASK_AGAIN_MS = 1000
/** What did not fit is asked for again when it should fit by then, but not sooner than this, and after `REST_MS` at the latest, ms. */
const LEAST_REFUSAL_MS = 10

/** What tests set otherwise. */
interface Conditions {
  readonly maxCallers?: number
  /** A store that takes longer to answer counts as away, ms. */
  readonly lateMs?: number
  /** Monotonic, ms. */
  readonly now?: () => number
}

interface ReplicaBudgetsOptions extends Conditions {
  readonly store: SharedBudgets
  /** Names the limit. */
  readonly limit: string
  readonly perMinute: number
  readonly mayOwe?: boolean | undefined
}

/** Makes budgets that all gateways of a store share, each limit by its name. */
export function budgetsOver(
  store: SharedBudgets,
  conditions: Conditions = {},
): (limit: string, perMinute: number, mayOwe?: boolean) => ReplicaBudgets {
  return (limit, perMinute, mayOwe) => new ReplicaBudgets({ store, limit, perMinute, mayOwe, ...conditions })
}

/**
 * Budgets that several gateways share, exactly, without asking the store for each request: a caller's places are taken in advance,
 * as many as it used within the last quarter of a second, and given back when it rests. All that was ever admitted was granted by
 * the store, so that no division of the load lets more pass than one gateway would.
 *
 * A limit is protection, not accounting: while the store is away or late, each gateway counts alone with the full limit.
 */
class ReplicaBudgets implements Budgets {
  readonly perMinute: number
  readonly #store: SharedBudgets
  readonly #limit: string
  readonly #mayOwe: boolean
  readonly #refill: Refill
  readonly #maxCallers: number
  readonly #lateMs: number
  readonly #now: () => number
  /** Callers of the last moments; everything else is the store's to know. */
  readonly #callers = new Map<string, CallerPlaces>()
  /** Counts while the store is away. Kept afterwards, so that a store that comes and goes gives no caller a fresh budget each time. */
  readonly #alone: CallerBudgets
  #isAlone = false
  /** When the store that is away is asked again. */
  #askAgainAt = 0
  #isSweeping = false

  constructor(options: ReplicaBudgetsOptions) {
    const { store, limit, perMinute, maxCallers = MOST_CALLERS, lateMs = LATE_MS } = options
    const { now = () => performance.now() } = options
    this.perMinute = perMinute
    this.#store = store
    this.#limit = limit
    this.#mayOwe = options.mayOwe ?? false
    this.#refill = new Refill(perMinute)
    this.#maxCallers = maxCallers
    this.#lateMs = lateMs
    this.#now = now
    this.#alone = new CallerBudgets({ perMinute, maxCallers, now })
  }

  /** Callers remembered. */
  get size(): number {
    return this.#callers.size
  }

  take(key: string, count = 1): Verdict | Promise<Verdict> {
    const now = this.#now()
    const known = this.#callers.get(key)
    if (known) {
      known.hit(now, count)
      if (known.take(count)) {
        if (!this.#isAlone && known.isRunningLow(now)) void this.#ask(key, known)
        return known.admitted(now)
      }
      if (known.isFullFor(count, now)) return known.refused(now, count)
    }
    if (this.#isAlone) return this.#takeAlone(key, count, now)
    const caller = known ?? this.#enter(key, now, count)
    if (!caller) return this.#alone.take(key, count)
    return new Promise((resolve) => {
      caller.waiting.push({ count, resolve })
      void this.#ask(key, caller)
    })
  }

  giveBack(key: string, count = 1): void {
    // Not held for the caller's next requests: a place that is held may be used while the budget is in debt.
    this.#callers.get(key)?.changed(-count, this.#now())
    if (this.#isAlone) this.#alone.giveBack(key, count)
    this.#return(key, count)
  }

  charge(key: string, count: number): void {
    const caller = this.#callers.get(key)
    const rest = caller ? caller.pay(count) : count
    if (this.#isAlone) this.#alone.charge(key, count)
    if (rest === 0) return
    caller?.changed(rest, this.#now())
    void this.#store.charge(this.#budgetOf(key), rest)
  }

  #takeAlone(key: string, count: number, now: number): Verdict {
    if (now >= this.#askAgainAt) {
      this.#askAgainAt = now + ASK_AGAIN_MS
      // Nobody waits for it, and it takes nothing.
      this.#question(key, { wanted: 0, more: 0 }).catch(ignoreOutage)
    }
    return this.#alone.take(key, count)
  }

  /** A caller that is new, unless there are too many already. */
  #enter(key: string, now: number, count: number): CallerPlaces | undefined {
    if (this.#callers.size >= this.#maxCallers) this.#giveBackRest(now)
    if (this.#callers.size >= this.#maxCallers) return undefined
    const caller = new CallerPlaces(this.#refill, REST_MS)
    caller.hit(now, count)
    this.#callers.set(key, caller)
    this.#sweepLater()
    return caller
  }

  /** Asks the store, one question at a time, until no request of this caller waits; once if none does. */
  async #ask(key: string, caller: CallerPlaces): Promise<void> {
    if (caller.isAsking) return
    caller.isAsking = true
    let most = Infinity
    try {
      do {
        const wanted = caller.wanted(this.#now(), most)
        // In advance nothing is taken of what others may be waiting for.
        const more = most === Infinity ? caller.inAdvance(this.#now()) : 0
        const grant = await this.#question(key, { wanted, more }, () => this.#goAlone(key, caller.waiting.splice(0)))
        caller.learn(grant, this.#now())
        most = grant.granted < wanted ? Math.min(wanted - 1, this.#refill.free(grant.usedMs)) : Infinity
        this.#answer(caller, most)
      } while (caller.waiting.length > 0)
    } catch {
      this.#goAlone(key, caller.waiting.splice(0))
    } finally {
      caller.isAsking = false
    }
  }

  /** Answers those who wait, in order: by the places that are held, and where no more than `free` are to be had besides them. */
  #answer(caller: CallerPlaces, free: number): void {
    const now = this.#now()
    caller.serve(now)
    if (free === Infinity) return
    const within = caller.held + free
    const refused = caller.waiting.filter(({ count }) => count > within)
    if (refused.length === 0) return
    caller.waiting = caller.waiting.filter(({ count }) => count <= within)
    const least = refused.reduce((min, { count }) => Math.min(min, count), Infinity)
    const { retryMs } = caller.refused(now, least)
    caller.fullFrom(least, now + Math.min(REST_MS, Math.max(LEAST_REFUSAL_MS, retryMs)))
    for (const { count, resolve } of refused) resolve(caller.refused(now, count))
  }

  /** A question to the store. An answer in time ends counting alone; `onLate` is called once where there is none. */
  async #question(
    key: string,
    places: Pick<BudgetQuestion, 'wanted' | 'more'>,
    onLate?: () => void,
  ): Promise<BudgetGrant> {
    let isLate = false
    const answered = afterRunningFor(this.#lateMs, () => {
      isLate = true
      onLate?.()
    })
    try {
      const grant = await this.#store.take({ ...this.#budgetOf(key), ...places })
      if (!isLate) this.#isAlone = false
      return grant
    } finally {
      answered()
    }
  }

  #goAlone(key: string, waiting: readonly Waiting[]): void {
    if (!this.#isAlone) this.#askAgainAt = this.#now() + ASK_AGAIN_MS
    this.#isAlone = true
    for (const { count, resolve } of waiting) resolve(this.#alone.take(key, count))
  }

  #sweepLater(): void {
    if (this.#isSweeping) return
    this.#isSweeping = true
    setTimeout(() => {
      this.#isSweeping = false
      this.#giveBackRest(this.#now())
      if (this.#callers.size > 0) this.#sweepLater()
    }, REST_MS / 2).unref()
  }

  /** Gives back what rests, and forgets the callers who do. */
  #giveBackRest(now: number): void {
    for (const [key, caller] of this.#callers) {
      if (caller.isAsking) continue
      const isResting = caller.isResting(now)
      if (isResting) this.#callers.delete(key)
      const unused = isResting ? caller.held : caller.unused(now)
      if (unused === 0) continue
      caller.returned(unused)
      this.#return(key, unused)
    }
  }

  #return(key: string, count: number): void {
    void this.#store.giveBack(this.#budgetOf(key), count)
  }

  #budgetOf(key: string): SharedBudget {
    return { limit: this.#limit, key, perMinute: this.perMinute, mayOwe: this.#mayOwe }
  }
}

/** The next question to a store that is away shows whether it is back. */
function ignoreOutage(): void {}
