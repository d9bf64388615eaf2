import { dirname, join } from 'node:path'

/** Where a gateway with a SQLite ledger keeps the key of its tickets, unless it is given one. */
export function ticketKeyFileBeside(ledgerFile: string): string {
  return join(dirname(ledgerFile), 'ticket-key.pem')
}

/** Name and key of the value in which gateways that share a ledger keep it. */
export const SHARED_TICKET_KEY = ['ticket-key', ''] as const
