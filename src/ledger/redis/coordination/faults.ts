import type { GatewayFault } from '../../../faults.ts'
import { ledgerFault } from '../../ledger.ts'
import { AWAY, CONGESTED, CROWDED, RedisError, SILENT } from '../redisError.ts'

/** What clients are told; Redis's own words stay within. */
const REASONS: Readonly<Record<string, string>> = {
  [AWAY]: 'Redis cannot be reached',
  [SILENT]: 'Redis does not answer',
  [CONGESTED]: 'too much waits for Redis',
  [CROWDED]: 'Redis has no connection left',
  OOM: 'Redis is full',
  LOADING: 'Redis is starting',
  // Neither lasts: this replica begins a new life, or tells Redis what it has lost.
  FENCED: 'this gateway was taken for dead',
  LOST: 'Redis has lost its latest changes',
}

/** The fault of a request that needs Redis. */
export function faultOf(error: unknown): GatewayFault {
  return ledgerFault(reasonOf(error), error)
}

/** Why Redis did not do what it was asked, for people. */
export function reasonOf(error: unknown): string {
  return REASONS[error instanceof RedisError ? error.code : ''] ?? 'Redis takes no changes'
}

/** Whether Redis may have done what it was asked. Without a connection nothing is sent; only one that broke has a cause. */
export function mayHaveRun(error: unknown): boolean {
  if (!(error instanceof RedisError)) return false
  return error.code === SILENT || (error.code === AWAY && error.cause !== undefined)
}
