import { parseStateUrl, StateUrlError, type StateUrl } from '../base/stateUrl.ts'
import type { Logger } from '../base/logger.ts'
import { LedgerOpenError, type Ledger } from './ledger.ts'
import { MemoryLedger } from './memory/ledger.ts'
import { RedisLedger } from './redis/ledger.ts'
import { SqliteLedger } from './sqlite/ledger.ts'

export interface LedgerSettings {
  /** `sqlite:FILE`, `memory:` or `redis://HOST`. */
  readonly url: string
  readonly maxBytes: number
  readonly ttlSeconds: number
  /** After this time without a sign of life a gateway that shares the ledger counts as dead; 10 where nothing is said. */
  readonly replicaTimeoutSeconds?: number
  readonly logger: Logger
}

/**
 * Opens the ledger that a STATE_URL names.
 *
 * @throws LedgerOpenError, whose message is one line for the operator and holds no secrets
 */
export async function openLedger({
  url,
  maxBytes,
  ttlSeconds,
  replicaTimeoutSeconds = 10,
  logger,
}: LedgerSettings): Promise<Ledger> {
  const limits = { maxBytes, ttlMs: ttlSeconds * 1000 }
  const state = stateOf(url)
  if (state.kind === 'memory') return new MemoryLedger(limits)
  if (state.kind === 'redis') {
    const replicaTimeoutMs = replicaTimeoutSeconds * 1000
    return RedisLedger.open({ url: state, replicaTimeoutMs, logger, ...limits })
  }
  return SqliteLedger.open({ path: state.file, logger, ...limits })
}

/**
 * The store that a STATE_URL names.
 *
 * @throws LedgerOpenError
 */
export function stateOf(url: string): StateUrl {
  try {
    return parseStateUrl(url)
  } catch (error) {
    if (error instanceof StateUrlError) throw new LedgerOpenError(`STATE_URL: ${error.message}`)
    throw error
  }
}
