import type { TrackedNode } from '../../fleet/node.ts'
import type { Account } from './account.ts'
import type { ChargedWeights, Pool } from './pool.ts'
import type { PriorityClass } from './priorityClass.ts'
import type { ChargeEnd, RunningCharge, TokenCounts } from '../workMeter.ts'

/** Prompt tokens that cost as much as one token of the answer. */
const PROMPT_TOKENS_PER_TOKEN = 50

/** A request counts for at most this many times the work that others take in its time. */
const MOST_TIMES_USUAL = 10

/** The work of one request, by its usage. */
function workOf({ promptTokens, completionTokens, cachedTokens = 0 }: TokenCounts): number {
  return completionTokens + Math.max(0, promptTokens - cachedTokens) / PROMPT_TOKENS_PER_TOKEN
}

/** What one request that is served costs its caller: at first by what its requests usually take, at its end by what it took. */
export class Charge implements RunningCharge {
  readonly #pool: Pool
  readonly #account: Account
  readonly #priorityClass: PriorityClass
  readonly #estimate: number
  readonly #weights: ChargedWeights

  /** Counts the request; `ended` must follow exactly once. */
  constructor(pool: Pool, account: Account, priorityClass: PriorityClass) {
    this.#pool = pool
    this.#account = account
    this.#priorityClass = priorityClass
    const { weight } = account
    this.#weights = { account: weight, pool: pool.waitingWeight > 0 ? pool.waitingWeight : weight }
    this.#estimate = account.meanWork(pool.meanWork)
    account.running++
    pool.runs(1)
    pool.serves(account, priorityClass)
    pool.charge(account, priorityClass, this.#estimate, this.#weights)
  }

  ended(node: TrackedNode, { outcome, seconds, now, meter }: ChargeEnd): void {
    const pool = this.#pool
    const account = this.#account
    account.running--
    // Refused, or nothing came of it: the next backend counts.
    const isVain = outcome === 'pushback' || outcome === 'failure'
    const work = isVain ? 0 : this.#work(node, seconds, now, meter?.usage())
    pool.charge(account, this.#priorityClass, work - this.#estimate, this.#weights)
    if (!isVain) {
      account.concluded(outcome === 'cancelled')
      account.done(work, now)
      pool.done(work, { seconds, now, isWhole: outcome === 'success' })
    }
    pool.runs(-1)
  }

  #work(node: TrackedNode, seconds: number, now: number, usage: TokenCounts | undefined): number {
    const { workRate, meanWork } = this.#pool
    if (usage) {
      const told = workOf(usage)
      // What a service tells is believed as far as it can be: a single absurd count would stop its caller, and its priority.
      const usual = workRate.value === undefined ? told : Math.max(meanWork, seconds * workRate.value)
      const work = Math.min(told, MOST_TIMES_USUAL * usual)
      if (seconds > 0) workRate.add(work / seconds)
      return work
    }
    // A second at a fast backend is more than one at a slow one.
    return workRate.value === undefined ? seconds / node.load.serviceSeconds(now) : seconds * workRate.value
  }
}
