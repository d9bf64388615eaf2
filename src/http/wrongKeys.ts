import type { Request } from 'express'
import { GatewayFault } from '../faults.ts'
import { CallerBudgets } from './callerBudgets.ts'
import { limitKeyOf } from '../base/limitKey.ts'
import { contextOf } from './context.ts'

/** Wrong keys a minute that one address may show. */
const PER_MINUTE = 60

/**
 * Slows down guessing: counts wrong keys for each address (IPv6: each /64). It only ever chooses the answer to a wrong key, so
 * that a right one passes whatever others behind the same address do. Each gateway counts alone, also where several share their
 * limits: wrong keys are answered before anything is asked of others, and n gateways let no more than n times as many be tried.
 */
export class WrongKeys {
  readonly #budgets = new CallerBudgets({ perMinute: PER_MINUTE })

  /** Counts a wrong key, but not a missing one; the fault where the address has shown too many. */
  count(req: Request, key: string | undefined): GatewayFault | undefined {
    if (key === undefined || key === '') return undefined
    const { isAdmitted, retryMs } = this.#budgets.take(limitKeyOf(contextOf(req).clientAddress))
    if (isAdmitted) return undefined
    return new GatewayFault('ERR_RATE_LIMITED', `Too many wrong keys: ${PER_MINUTE} a minute are allowed`, {
      params: { limit: PER_MINUTE, window_seconds: 60 },
      headers: { 'Retry-After': String(Math.max(1, Math.ceil(retryMs / 1000))) },
    })
  }
}
