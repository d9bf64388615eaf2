/** What a gateway keeps beyond its own life, opened as the settings say. */
import type { Logger } from './base/logger.ts'
import { parseStateUrl } from './base/stateUrl.ts'
import { ticketKeyFileBeside } from './base/ticketKey.ts'
import type { Settings } from './config/settings.ts'
import type { Ledger } from './ledger/ledger.ts'
import { openLedger } from './ledger/open.ts'
import { ephemeralTicketKeys, openTicketKeys, readTicketKeys, type TicketKeys } from './lookup/tickets/keys.ts'
import { SharedTicketKeys } from './lookup/tickets/sharedKeys.ts'

/** The ledger that the settings name. */
export function openOwnLedger(settings: Settings, logger: Logger): Promise<Ledger> {
  const { stateUrl: url, stateMaxBytes: maxBytes, jobTtlSeconds: ttlSeconds, replicaTimeoutSeconds } = settings
  return openLedger({ url, maxBytes, ttlSeconds, replicaTimeoutSeconds, logger })
}

/** The operator's own, or one beside or in the ledger, so that what workers fetched once stays valid. */
export function openTicketKeysOf(
  { stateUrl, ticketKeyFile }: Settings,
  { shared }: Pick<Ledger, 'shared'>,
  logger: Logger,
): Promise<TicketKeys> {
  if (ticketKeyFile !== '') return readTicketKeys(ticketKeyFile)
  const state = parseStateUrl(stateUrl)
  if (state.kind === 'sqlite') return openTicketKeys(ticketKeyFileBeside(state.file))
  return shared ? SharedTicketKeys.open(shared.coordination.values, logger) : ephemeralTicketKeys()
}
