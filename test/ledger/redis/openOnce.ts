/** Opens the ledger whose URL is the argument, and prints whether it can be written. */
import { openLedger } from '../../../src/ledger/open.ts'
import { LogLines } from '../ledgerKit.ts'

const [, , url = ''] = process.argv
const ledger = await openLedger({ url, maxBytes: 1e9, ttlSeconds: 60, logger: new LogLines() })
process.stdout.write(`${ledger.health().writable}\n`)
await ledger.close()
