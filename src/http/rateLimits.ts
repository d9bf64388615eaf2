import type { NextFunction, Request, RequestHandler, Response } from 'express'
import { rateLimit, type IncrementResponse, type Store } from 'express-rate-limit'
import { GatewayFault } from '../faults.ts'
import type { Budgets, MakeBudgets, Verdict } from './budgets.ts'
import { CallerBudgets } from './callerBudgets.ts'
import { limitKeyOf } from '../base/limitKey.ts'
import { contextOf } from './context.ts'
import { setOwnHeader } from './gatewayResponse.ts'

const WINDOW_SECONDS = 60

/** How many requests a minute a caller may make. */
interface RateBound {
  /** Where it is set, for messages. */
  readonly setting: string
  /** 0 is no limit. */
  readonly perMinute: number
}

/** A number of requests a minute for each caller. Answers show what is left of it in `RateLimit-*` headers. */
export interface CallerLimit {
  /** What a caller may do, and where that is set. */
  boundOf(caller: string): RateBound
  /** Counts each request as one. */
  readonly countRequest: RequestHandler
  /**
   * Counts a request as `count`; a promise only where gateways share the limit.
   *
   * @throws GatewayFault ERR_RATE_LIMITED naming when as many pass
   */
  count(req: Request, res: Response, count: number): void | Promise<void>
}

export interface CallerLimitOptions {
  /** Requests in a full budget, and refilled evenly over each minute; 0 is no limit. */
  readonly perMinute: number
  /** What the budgets are called where gateways share them; several limits of one setting have names of their own. */
  readonly name?: string
  readonly makeBudgets?: MakeBudgets | undefined
  /** The rate of a caller whose key has one of its own; undefined for all others. */
  readonly ownRateOf?: ((caller: string) => number | undefined) | undefined
}

/** Rates of single keys that have budgets at a time. The budgets of a rate that is forgotten are full again when it comes back. */
const MOST_OWN_RATES = 1000
const OWN_RATE_SETTING = 'requests_per_min of the key'

/** Each call of this makes budgets of its own, unless `makeBudgets` has others share them. */
export function limitPerCaller(setting: string, options: CallerLimitOptions): CallerLimit {
  const { perMinute, name = setting, makeBudgets = budgetsOfProcess, ownRateOf } = options
  const common = limitAt({ setting, perMinute }, name, makeBudgets)
  if (!ownRateOf) return common
  const own = new Map<number, CallerLimit>()
  const limitOf = (caller: string): CallerLimit => {
    const rate = ownRateOf(caller)
    if (rate === undefined) return common
    const known = own.get(rate)
    if (known) return known
    if (own.size >= MOST_OWN_RATES) own.clear()
    const limit = limitAt({ setting: OWN_RATE_SETTING, perMinute: rate }, name, makeBudgets)
    own.set(rate, limit)
    return limit
  }
  return {
    boundOf: (caller) => limitOf(caller).boundOf(caller),
    countRequest: (req, res, next) => limitOf(contextOf(req).caller).countRequest(req, res, next),
    count: (req, res, count) => limitOf(contextOf(req).caller).count(req, res, count),
  }
}

function limitAt(bound: RateBound, name: string, makeBudgets: MakeBudgets): CallerLimit {
  const { perMinute } = bound
  const boundOf = (): RateBound => bound
  if (perMinute === 0) return { boundOf, countRequest: (_req, _res, next) => next(), count: () => {} }
  const budgets = makeBudgets(name, perMinute)
  const limiter = rateLimit({
    windowMs: WINDOW_SECONDS * 1000,
    limit: perMinute,
    store: new BudgetStore(budgets),
    standardHeaders: 'draft-6',
    legacyHeaders: false,
    keyGenerator: (req) => limitKeyOf(contextOf(req).caller),
    handler: (_req, res, next) => next(refusal(bound, Number(res.getHeader('RateLimit-Reset')))),
    // Keys are callers, not addresses, and the settings have been validated.
    validate: false,
  })
  const policy = `${perMinute};w=${WINDOW_SECONDS}`
  const limit = String(perMinute)
  /** Writes the headers that express-rate-limit would. */
  const show = (res: Response, remaining: number, resetSeconds: number): void => {
    setOwnHeader(res, 'RateLimit-Policy', policy)
    setOwnHeader(res, 'RateLimit-Limit', limit)
    setOwnHeader(res, 'RateLimit-Remaining', String(remaining))
    setOwnHeader(res, 'RateLimit-Reset', String(resetSeconds))
  }
  // The limiter awaits five times and reads `req.ip` for its debug log. Only what the budget refuses needs it, which takes
  // nothing from the budget when it is asked again.
  const pass = (verdict: Verdict, req: Request, res: Response, next: NextFunction): void => {
    if (!verdict.isAdmitted) return void limiter(req, res, next)
    show(res, verdict.remaining, Math.ceil(resetMs(verdict) / 1000))
    next()
  }
  const countRequest: RequestHandler = (req, res, next) => {
    const verdict = budgets.take(limitKeyOf(contextOf(req).caller))
    if (!(verdict instanceof Promise)) return pass(verdict, req, res, next)
    return verdict.then((known) => pass(known, req, res, next))
  }
  const judge = (verdict: Verdict, res: Response, count: number): void => {
    const resetSeconds = Math.ceil(resetMs(verdict) / 1000)
    show(res, verdict.remaining, resetSeconds)
    if (verdict.isAdmitted) return
    throw refusal(bound, resetSeconds, `, and this one counts as ${count}`)
  }
  const count = (req: Request, res: Response, count: number): void | Promise<void> => {
    const verdict = budgets.take(limitKeyOf(contextOf(req).caller), count)
    if (!(verdict instanceof Promise)) return judge(verdict, res, count)
    return verdict.then((known) => judge(known, res, count))
  }
  return { boundOf, countRequest, count }
}

const budgetsOfProcess: MakeBudgets = (_limit, perMinute) => new CallerBudgets({ perMinute })

/** The budgets as express-rate-limit asks for them: it refuses where `totalHits` is over the limit, and shows the rest as remaining. */
class BudgetStore implements Store {
  readonly localKeys = true
  readonly #budgets: Budgets

  constructor(budgets: Budgets) {
    this.#budgets = budgets
  }

  async increment(caller: string): Promise<IncrementResponse> {
    const verdict = await this.#budgets.take(caller)
    const { perMinute } = this.#budgets
    return {
      totalHits: verdict.isAdmitted ? perMinute - verdict.remaining : perMinute + 1,
      // Turned into seconds from now in the same turn, so that it does not matter whether the clock is right.
      resetTime: new Date(Date.now() + Math.ceil(resetMs(verdict))),
    }
  }

  decrement(caller: string): void {
    this.#budgets.giveBack(caller)
  }

  /** A part of the interface that only its users call, and we do not. */
  resetKey(): void {}
}

/** What `RateLimit-Reset` says: until the next request passes; while one would pass at once, until the budget is full. */
function resetMs({ retryMs, fullMs }: Verdict): number {
  return retryMs > 0 ? retryMs : fullMs
}

function refusal({ setting, perMinute }: RateBound, retrySeconds: number, more = ''): GatewayFault {
  return new GatewayFault('ERR_RATE_LIMITED', `Too many requests: ${setting} allows ${perMinute} a minute${more}`, {
    params: { setting, limit: perMinute, window_seconds: WINDOW_SECONDS },
    headers: { 'Retry-After': String(Math.max(1, retrySeconds)) },
  })
}
