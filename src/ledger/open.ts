import type { Logger } from '../base/logger.ts'
import { LedgerOpenError, type Ledger } from './ledger.ts'
import { MemoryLedger } from './memory/ledger.ts'
import { SqliteLedger } from './sqlite/ledger.ts'

export interface LedgerSettings {
  /** `sqlite:FILE` or `memory:`. */
  readonly url: string
  readonly maxBytes: number
  readonly ttlSeconds: number
  readonly logger: Logger
}

const ALLOWED = 'allowed are sqlite:FILE and memory:'

/**
 * Opens the ledger that a STATE_URL names.
 *
 * @throws LedgerOpenError, whose message is one line for the operator and holds no secrets
 */
export async function openLedger({ url, maxBytes, ttlSeconds, logger }: LedgerSettings): Promise<Ledger> {
  const limits = { maxBytes, ttlMs: ttlSeconds * 1000 }
  const [, scheme = '', rest = ''] = /^([a-z][a-z0-9+.-]*):(.*)$/is.exec(url) ?? []
  switch (scheme.toLowerCase()) {
    case 'memory':
      if (rest !== '') throw new LedgerOpenError('STATE_URL: memory: takes no path')
      return new MemoryLedger(limits)
    case 'sqlite':
      return SqliteLedger.open({ path: filePath(rest), logger, ...limits })
    case 'redis':
    case 'rediss':
      throw new LedgerOpenError(`STATE_URL: ${scheme}: is not supported yet; ${ALLOWED}`)
    case '':
      throw new LedgerOpenError(`STATE_URL: it begins with no scheme; ${ALLOWED}`)
    default:
      throw new LedgerOpenError(`STATE_URL: ${scheme}: is not known; ${ALLOWED}`)
  }
}

/**
 * The file of a ledger in SQLite; `undefined` for other ledgers.
 *
 * @throws LedgerOpenError
 */
export function sqlitePathOf(url: string): string | undefined {
  const rest = /^sqlite:(.*)$/is.exec(url)?.[1]
  return rest === undefined ? undefined : filePath(rest)
}

/** The file as it stands after the scheme; a URL with an empty host (`sqlite:///data/jobs.db`) is understood too. */
function filePath(rest: string): string {
  const isUrl = rest.startsWith('//')
  if (rest === '' || rest.startsWith(':') || rest.includes('\0') || (isUrl && !rest.startsWith('///'))) {
    throw new LedgerOpenError('STATE_URL: sqlite: needs a file, as in sqlite:data/gateway.db')
  }
  return isUrl ? rest.slice(2) : rest
}
