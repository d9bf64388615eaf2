import type { LedgerLimits } from '../ledger.ts'
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

/** How long all byte strings in a value are together. */
export function bytesIn(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  if (value instanceof Uint8Array) return value.length
  let sum = 0
  if (Array.isArray(value)) for (const part of value) sum += bytesIn(part)
  return sum
}

/** A message without its byte strings, in whose places is `undefined`; they follow each other in `bytes`, `ends` says where. */
export type Packed<Message> = [message: Message, bytes: ArrayBuffer, ends: number[]]

/**
 * Takes the byte strings out of a message and copies them into one buffer, which can change threads without another copy;
 * views of each would cost more. `length` is what they take together. Nothing else in the message may be `undefined`.
 */
export function pack<Message extends unknown[]>(message: Message, length: number): Packed<Message> {
  const ends: number[] = []
  const bytes = new Uint8Array(length)
  takeBytes(message, bytes, ends)
  return [message, bytes.buffer, ends]
}

/** Puts the byte strings back, as views of the one buffer: for whoever is done with all of them at once. */
export function unpack<Message extends unknown[]>([message, bytes, ends]: Packed<Message>): Message {
  if (ends.length > 0) putBytes(message, { bytes, ends, cut: view }, 0)
  return message
}

/**
 * The same for values that live on: where the buffer is long, only what is most of it is a view. A view keeps the whole of it
 * in memory, and a message carries the values of callers who know nothing of each other.
 */
export function unpackApart<Message extends unknown[]>([message, bytes, ends]: Packed<Message>): Message {
  if (ends.length > 0) putBytes(message, { bytes, ends, cut: viewOrCopy }, 0)
  return message
}

/** A buffer up to this is no loss as a whole, bytes. */
const SHORT_BUFFER = 16_384

/** The bytes of a message, and how one of its byte strings is cut out of them. */
interface Source {
  readonly bytes: ArrayBuffer
  readonly ends: readonly number[]
  readonly cut: (bytes: ArrayBuffer, start: number, end: number) => Uint8Array
}

function view(bytes: ArrayBuffer, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes, start, end - start)
}

function viewOrCopy(bytes: ArrayBuffer, start: number, end: number): Uint8Array {
  const isView = bytes.byteLength <= SHORT_BUFFER || end - start > bytes.byteLength / 2
  return isView ? view(bytes, start, end) : new Uint8Array(bytes.slice(start, end))
}

function takeBytes(parts: unknown[], bytes: Uint8Array, ends: number[]): void {
  for (let index = 0; index < parts.length; index++) {
    const part = parts[index]
    if (typeof part !== 'object' || part === null) continue
    if (part instanceof Uint8Array) {
      const start = ends.at(-1) ?? 0
      bytes.set(part, start)
      ends.push(start + part.length)
      parts[index] = undefined
    } else if (Array.isArray(part)) takeBytes(part, bytes, ends)
  }
}

/** Returns how many byte strings are in their places then. */
function putBytes(parts: unknown[], source: Source, first: number): number {
  const { bytes, ends, cut } = source
  let next = first
  for (let index = 0; index < parts.length; index++) {
    const part = parts[index]
    if (part === undefined) {
      const start = ends[next - 1] ?? 0
      parts[index] = cut(bytes, start, ends[next]!)
      next++
    } else if (Array.isArray(part)) next = putBytes(part, source, next)
  }
  return next
}
