import type { LedgerLimits } from '../ledger.ts'
import type { Operation, SqliteStore } from './store.ts'

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

/** What the thread is told: a group of calls, or to close the database and end. */
export type ToWorker = Call[] | 'close'

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
]

/** All later messages of the thread: one value for each call of the group under way, or none but a report. */
export type FromWorker = [values: unknown[] | null, failures: Failure[], report: StoreReport]
export type Failure = [index: number, kind: FailureKind, message: string]

export interface WorkerSettings extends LedgerLimits {
  readonly path: string
  /** Ceiling for the file in pages of 4096 bytes; stands in for a full disk. */
  readonly maxPages?: number
}

/** How long all byte strings in a value are together. */
export function bytesIn(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  if (value instanceof Uint8Array) return value.length
  let sum = 0
  if (Array.isArray(value)) for (const part of value) sum += bytesIn(part)
  return sum
}

/**
 * Copies all byte strings in a message into one buffer, puts views of it in their place, and returns it for the list of
 * what changes threads with the message. `length` is what they take together.
 */
export function packBytes(message: unknown[], length: number): ArrayBuffer[] {
  const buffer = new ArrayBuffer(length)
  packInto(buffer, 0, message)
  return [buffer]
}

function packInto(buffer: ArrayBuffer, start: number, message: unknown[]): number {
  let at = start
  for (let index = 0; index < message.length; index++) {
    const part = message[index]
    if (typeof part !== 'object' || part === null) continue
    if (part instanceof Uint8Array) {
      const view = new Uint8Array(buffer, at, part.length)
      view.set(part)
      message[index] = view
      at += part.length
    } else if (Array.isArray(part)) at = packInto(buffer, at, part)
  }
  return at
}
