/* What features know of the ledger; `open.ts` is for whoever puts everything together. */
export {
  JOB_OVERHEAD_BYTES,
  type JobFilter,
  type JobKind,
  type JobRecord,
  type IdempotencyRecord,
  type Ledger,
  ledgerFault,
  PIECE_BYTES,
  type ReceivedResult,
  type ResultPart,
  type SharedLedger,
  type UnfinishedJob,
} from './ledger.ts'
export { LongBytes } from './longBytes.ts'
export type { UsageRow, UsageStore } from './usage/usage.ts'
