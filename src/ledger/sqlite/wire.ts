import type { LedgerLimits } from '../ledger.ts'
import type { Packed } from '../packedBytes.ts'
import type { Operation } from './operations.ts'
import type { SqliteStore } from './store.ts'

// What passes between the main thread and the one that owns the database. A message costs some 10 µs of each thread and
// an operation in it about 1 µs, hence groups of calls, flat arrays, and all bytes of a message in one buffer.

/** A call of a method of the store. Arguments and values are arrays and plain values: their bytes are found in arrays only. */
export type Call<Name extends Operation = Operation> = {
  [Each in Name]: [name: Each, ...args: Parameters<SqliteStore[Each]>]
}[Name]
export type Value<Name extends Operation> = ReturnType<SqliteStore[Name]>
export type CallStore = <Name extends Operation>(
  name: Name,
  ...args: Parameters<SqliteStore[Name]>
) => Promise<Value<Name>>

/** By which way calls go: reads go ahead of writes. */
export type Lane = 'writes' | 'reads'
/** A group of calls; of each lane one is under way at a time. */
export type CallsMessage = [lane: Lane, calls: Call[]]
/** What the thread is told: calls, or to close the database and end. */
export type ToWorker = Packed<CallsMessage> | 'close'

/** Why one call failed: its id was taken, the store cannot be read or written, or it can never succeed. */
export type FailureKind = 'duplicate' | 'store' | 'invalid'

/** The thread's first message: why it will not serve, or null, and what does not work although it serves. */
export interface OpenedMessage {
  readonly refusal: string | null
  readonly warning: string | null
}

/** Completes "The gateway cannot record jobs at the moment: …" where the file is not in its place any more. */
export const FILE_GONE = 'its file was deleted or replaced'

/** How the store is. */
export type StoreReport = [
  keptBytes: number,
  jobs: number,
  /** Commits of operations since the file was opened. */
  commits: number,
  /** Whether something was written since the last report that takes as much room as a job. */
  hasRoom: boolean,
  /** Why something could not be written since the last report. */
  writeFailure: string | null,
  /** Why old jobs cannot be removed at present. */
  pruneFailure: string | null,
  /** Ids of jobs that were removed since the last report because too much was kept. */
  removed: string[],
]

/**
 * All later messages of the thread: one value for each call of the group that is under way in the lane, or none but a report.
 * Reads come without a report.
 */
export type FromWorker = [lane: Lane | null, values: unknown[], failures: Failure[], report: StoreReport | null]
export type Failure = [index: number, kind: FailureKind, message: string]

export interface WorkerSettings extends LedgerLimits {
  readonly path: string
  /** Ceiling for the file in pages of 4096 bytes; stands in for a full disk. */
  readonly maxPages?: number
}
