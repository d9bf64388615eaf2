import { dirname, join } from 'node:path'

/** Where a gateway with a SQLite ledger keeps the key of its tickets, unless it is given one. */
export function ticketKeyFileBeside(ledgerFile: string): string {
  return join(dirname(ledgerFile), 'ticket-key.pem')
}
