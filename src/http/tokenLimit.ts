import type { ServerResponse } from 'node:http'
import { limitKeyOf } from '../base/limitKey.ts'
import { UsedBudgets } from '../base/usedBudgets.ts'
import { GatewayFault } from '../faults.ts'
import type { Budgets, MakeBudgets, Verdict } from './budgets.ts'
import { CallerBudgets, MOST_CALLERS } from './callerBudgets.ts'
import { setDecidingHeader } from './gatewayResponse.ts'

/** What the budgets are called where gateways share them. */
const LIMIT = 'tokens_per_min'
/** Where the limit is set, for messages. */
const SETTING = 'tokens_per_min of the key'
const WINDOW_SECONDS = 60

/**
 * Part of a minute's tokens that has to be free for a request that needs more than that. A larger part would keep large requests out
 * for as long as their caller has small ones under way.
 */
const MOST_NEEDED_SHARE = 1 / 2

/** Rates that have budgets at a time. How far a budget is used does not depend on this: it is kept by caller. */
const MOST_RATES = 1000

export interface TokenLimitOptions {
  /** Tokens a minute of a caller; undefined or 0 where it has no limit. */
  readonly rateOf: (caller: string) => number | undefined
  readonly makeBudgets?: MakeBudgets | undefined
}

/** The tokens that were reserved for one request. */
export class TokenReservation {
  readonly tokens: number
  readonly #budgets: Budgets
  readonly #key: string
  #isSettled = false

  constructor(budgets: Budgets, key: string, tokens: number) {
    this.#budgets = budgets
    this.#key = key
    this.tokens = tokens
  }

  /** Puts what the request took in place of what was reserved. Later calls change nothing. */
  settle(tokens: number): void {
    if (this.#isSettled) return
    this.#isSettled = true
    const more = tokens - this.tokens
    if (more > 0) this.#budgets.charge(this.#key, more)
    else if (more < 0) this.#budgets.giveBack(this.#key, -more)
  }
}

/**
 * A number of tokens a minute for each caller that has one. It refills evenly (GCRA); what requests took beyond what was reserved for
 * them is a debt.
 */
export class TokenLimit {
  readonly #rateOf: TokenLimitOptions['rateOf']
  readonly #makeBudgets: MakeBudgets
  readonly #budgets = new Map<number, Budgets>()

  constructor({ rateOf, makeBudgets = budgetsOfProcess() }: TokenLimitOptions) {
    this.#rateOf = rateOf
    this.#makeBudgets = makeBudgets
  }

  /** The budget of a caller; undefined where it has no limit. */
  of(caller: string): TokenBudget | undefined {
    const perMinute = this.#rateOf(caller)
    return perMinute ? new TokenBudget(this.#budgetsAt(perMinute), limitKeyOf(caller)) : undefined
  }

  #budgetsAt(perMinute: number): Budgets {
    const known = this.#budgets.get(perMinute)
    if (known) return known
    if (this.#budgets.size >= MOST_RATES) this.#budgets.clear()
    const budgets = this.#makeBudgets(LIMIT, perMinute, true)
    this.#budgets.set(perMinute, budgets)
    return budgets
  }
}

/** The tokens of one caller. */
export class TokenBudget {
  readonly #budgets: Budgets
  readonly #key: string

  constructor(budgets: Budgets, key: string) {
    this.#budgets = budgets
    this.#key = key
  }

  /**
   * Reserves tokens for a request, and shows in `x-ratelimit-*-tokens` what is left; a promise only where gateways share the limit. A
   * request that needs more than half of a minute's tokens passes as soon as half of them are free; more than all of them are never
   * reserved. So no request is too large to pass.
   *
   * @throws GatewayFault ERR_RATE_LIMITED naming when it passes
   */
  reserve(res: ServerResponse, tokens: number): TokenReservation | Promise<TokenReservation> {
    const { perMinute } = this.#budgets
    const reserved = Math.max(1, Math.min(Math.ceil(tokens), perMinute))
    const needed = Math.min(reserved, Math.max(1, Math.floor(perMinute * MOST_NEEDED_SHARE)))
    const pass = (verdict: Verdict): TokenReservation => {
      judge(res, verdict, { perMinute, needed, reserved })
      if (reserved > needed) this.#budgets.charge(this.#key, reserved - needed)
      return new TokenReservation(this.#budgets, this.#key, reserved)
    }
    const verdict = this.#budgets.take(this.#key, needed)
    return verdict instanceof Promise ? verdict.then(pass) : pass(verdict)
  }
}

/** A caller whose rate is changed keeps its debt. */
function budgetsOfProcess(): MakeBudgets {
  const used = new UsedBudgets(MOST_CALLERS)
  return (_limit, perMinute) => new CallerBudgets({ perMinute, used })
}

interface Asked {
  readonly perMinute: number
  readonly needed: number
  readonly reserved: number
}

/** Shows what is left, as OpenAI does, and refuses what was not admitted. */
function judge(res: ServerResponse, verdict: Verdict, { perMinute, needed, reserved }: Asked): void {
  const { isAdmitted, remaining, retryMs, fullMs } = verdict
  const owed = isAdmitted ? reserved - needed : 0
  setDecidingHeader(res, 'x-ratelimit-limit-tokens', String(perMinute))
  setDecidingHeader(res, 'x-ratelimit-remaining-tokens', String(Math.max(0, remaining - owed)))
  setDecidingHeader(res, 'x-ratelimit-reset-tokens', durationText(fullMs + (owed * WINDOW_SECONDS * 1000) / perMinute))
  if (isAdmitted) return
  throw new GatewayFault('ERR_RATE_LIMITED', `Too many tokens: ${SETTING} allows ${perMinute} a minute`, {
    params: { setting: SETTING, limit: perMinute, window_seconds: WINDOW_SECONDS },
    headers: { 'Retry-After': String(Math.max(1, Math.ceil(retryMs / 1000))) },
  })
}

/** A duration as OpenAI writes it in these headers: `17ms`, `1.25s`, `6m0s`, `1h0m0s`. */
function durationText(ms: number): string {
  const whole = Math.ceil(ms)
  if (whole < 1000) return `${whole}ms`
  const minutes = Math.floor(whole / 60_000)
  const seconds = `${(whole % 60_000) / 1000}s`
  if (minutes === 0) return seconds
  return minutes < 60 ? `${minutes}m${seconds}` : `${Math.floor(minutes / 60)}h${minutes % 60}m${seconds}`
}
