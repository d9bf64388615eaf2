/** All ledgers, for the rules that hold for each of them. */
import type { Ledger } from '../../src/ledger/ledger.ts'
import type { LedgerSettings } from '../../src/ledger/open.ts'
import { startRedis } from '../kit/redisServer.ts'
import type { Cleanup } from '../kit/wait.ts'
import { remoteLedger } from './ipc/hubs.ts'
import { ledgerAt, ledgerPath } from './ledgerKit.ts'

export type Open = (t: Cleanup, over?: Partial<LedgerSettings>) => Promise<Ledger>

/** Add a store here, and all rules of ledgers hold for it. */
export const LEDGERS: Record<string, Open> = {
  memory: (t, over) => ledgerAt(t, 'memory:', over),
  sqlite: async (t, over) => ledgerAt(t, `sqlite:${await ledgerPath(t)}`, over),
  'memory via workers': (t, over) => remoteLedger(t, { url: 'memory:', ...settingsOf(over) }),
  'sqlite via workers': async (t, over) =>
    remoteLedger(t, { url: `sqlite:${await ledgerPath(t)}`, ...settingsOf(over) }),
  redis: async (t, over) => ledgerAt(t, (await startRedis(t)).url(), over),
}

/** What can be sent to another process. */
function settingsOf({ maxBytes, ttlSeconds }: Partial<LedgerSettings> = {}): Partial<LedgerSettings> {
  return { ...(maxBytes !== undefined && { maxBytes }), ...(ttlSeconds !== undefined && { ttlSeconds }) }
}
