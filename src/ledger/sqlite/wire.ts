import type { JobChange } from '../held.ts'
import type { JobKind, JobRecord, JobState, KeptAnswer } from '../ledger.ts'

// What passes between the main thread and the one that owns the database. A message costs some 10 µs of each thread and
// an operation in it about 1 µs, hence groups of operations, flat arrays, and all bytes of a group in one buffer.

/** Which of the group's byte strings; -1 for none. */
export type BytesRef = number

/** The columns of a job in the order of `JOB_COLUMNS`; flags are 0 or 1. */
export type JobRow = [
  id: string,
  caller: string,
  clientAddress: string,
  kind: JobKind,
  containers: string,
  createdAt: number,
  failover: number,
  cost: number | null,
  clientGone: number,
  node: string,
  nodeJobId: string,
  localAddress: string,
  runs: number,
  runStartedAt: number,
  state: JobState,
  finishedAt: number | null,
]

export const JOB_COLUMNS = `id, caller, client_address, kind, containers, created_at, failover, cost, client_gone,
  node, node_job_id, local_address, runs, run_started_at, state, finished_at`

export type AnswerRow = [
  caller: string,
  path: string,
  key: string,
  status: number,
  contentType: string,
  node: string | null,
  createdAt: number,
]

export const ANSWER_COLUMNS = 'caller, path, key, status, content_type, node, created_at'

type RunRow = [node: string, nodeJobId: string, localAddress: string, runs: number, runStartedAt: number]
/** `received`: the result is one that was received in pieces. */
type EndRow = [
  state: JobState,
  finishedAt: number,
  result: BytesRef,
  intermediate: BytesRef,
  received: ReceivedRow | null,
]
type ReceivedRow = [result: number, resultBytes: number, intermediateBytes: number | null]

/** Operations that need a transaction. */
export type WriteOp =
  | [
      name: 'insert',
      jobs: [row: JobRow, request: BytesRef][],
      answer: [row: AnswerRow, bodyHash: BytesRef, body: BytesRef] | null,
    ]
  | [name: 'change', id: string, run: RunRow | null, isLeft: boolean, end: EndRow | null]
  | [name: 'receive', caller: string]
  | [name: 'addPiece', result: number, part: number, number: number, bytes: BytesRef]
  | [name: 'nextReqnum', worker: string]
  | [name: 'probe']

/** Operations that see what the writes of their group have left. */
export type ReadOp =
  | [name: 'unfinished', afterCaller: string, afterSeq: number, limit: number]
  | [name: 'unfinishedSizes', afterCaller: string, afterSeq: number, limit: number]
  | [name: 'request', id: string]
  | [name: 'read', caller: string, ids: readonly string[], withIntermediate: boolean, inlineBytes: number]
  | [name: 'piece', id: string, part: number, number: number]
  | [name: 'release', result: number]
  | [name: 'find', id: string]
  | [name: 'list', caller: string, onlyUnfinished: boolean, afterSeq: number, limit: number]
  | [name: 'keptAnswer', caller: string, path: string, key: string]

export type Op = WriteOp | ReadOp

/** `ends[i]` is where byte string `i` ends in `bytes`; it begins where the one before it ends. */
export type PackedBytes = [bytes: ArrayBuffer, ends: number[]]

/** What the thread is told: a group of operations to do, or to close the database and end. */
export type ToWorker = [ops: Op[], packed: PackedBytes] | 'close'

/** Why one operation failed: its id was taken, the store cannot be read or written, or it can never succeed. */
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

/** All later messages of the thread: one value for each operation of the group under way, or none but a report. */
export type FromWorker = [values: unknown[] | null, failures: Failure[], report: StoreReport]
export type Failure = [index: number, kind: FailureKind, message: string]

export interface WorkerSettings {
  readonly path: string
  readonly maxBytes: number
  readonly ttlMs: number
  /** Ceiling for the file in pages of 4096 bytes; stands in for a full disk. */
  readonly maxPages?: number
}

/** Bytes that are too long to be read along have their length and no `ref`; where there are none the length is -1. */
export type ReadBytes = [ref: BytesRef, length: number]
export type ReadRow = [id: string, state: JobState, node: string, result: ReadBytes, intermediate: ReadBytes]
export type ReadValue = [rows: ReadRow[], packed: PackedBytes]
export type ListValue = [ids: string[], isFinished: boolean[], lastSeq: number]
export type UnfinishedValue = [rows: JobRow[], lastCaller: string, lastSeq: number]
export type SizesValue = [sizes: [id: string, bytes: number][], lastCaller: string, lastSeq: number]
export type AnswerValue = [row: AnswerRow, packed: PackedBytes] | null

export function rowOf(record: JobRecord): JobRow {
  return [
    record.id,
    record.caller,
    record.clientAddress,
    record.kind,
    JSON.stringify(record.containers),
    Math.trunc(record.createdAt),
    record.failover ? 1 : 0,
    record.cost ?? null,
    record.clientGone ? 1 : 0,
    record.node,
    record.nodeJobId,
    record.localAddress,
    record.runs,
    Math.trunc(record.runStartedAt),
    'running',
    null,
  ]
}

export function recordOf(row: JobRow): JobRecord {
  const [id, caller, clientAddress, kind, containers, createdAt, failover, cost, clientGone] = row
  const [, , , , , , , , , node, nodeJobId, localAddress, runs, runStartedAt, state, finishedAt] = row
  return {
    ...{ id, caller, clientAddress, kind, createdAt, node, nodeJobId, localAddress, runs, runStartedAt, state },
    containers: JSON.parse(containers) as string[],
    failover: failover === 1,
    ...(cost !== null && { cost }),
    ...(clientGone === 1 && { clientGone: true }),
    ...(finishedAt !== null && { finishedAt }),
  }
}

export function answerRowOf(answer: KeptAnswer): AnswerRow {
  const { caller, path, key, status, contentType, node, createdAt } = answer
  return [caller, path, key, status, contentType, node ?? null, Math.trunc(createdAt)]
}

export function answerOf(row: AnswerRow, bodyHash: Buffer, body: Buffer): KeptAnswer {
  const [caller, path, key, status, contentType, node, createdAt] = row
  return { caller, path, key, bodyHash, status, contentType, body, ...(node !== null && { node }), createdAt }
}

/** Gathers byte strings, then copies them into one buffer that can change threads without another copy. */
export class Packer {
  readonly #parts: Uint8Array[] = []
  readonly #ends: number[] = []
  #length = 0

  add(part: Uint8Array | null | undefined): BytesRef {
    if (!part) return -1
    this.#length += part.length
    this.#ends.push(this.#length)
    return this.#parts.push(part) - 1
  }

  pack(): PackedBytes {
    const bytes = new Uint8Array(this.#length)
    this.#parts.forEach((part, index) => bytes.set(part, this.#ends[index - 1] ?? 0))
    return [bytes.buffer, this.#ends]
  }
}

/** Packs byte strings whose buffer changes threads with the message. */
export function packForTransfer(transfers: ArrayBuffer[], ...parts: Uint8Array[]): PackedBytes {
  const packer = new Packer()
  for (const part of parts) packer.add(part)
  const packed = packer.pack()
  transfers.push(packed[0])
  return packed
}

/** A view of one packed byte string. */
export function unpack([bytes, ends]: PackedBytes, ref: BytesRef): Buffer | undefined {
  if (ref < 0) return undefined
  const start = ends[ref - 1] ?? 0
  return Buffer.from(bytes, start, ends[ref]! - start)
}

/** The operation that writes a change of a job. */
export function changeOp(id: string, { run, isLeft = false, end }: JobChange): (packer: Packer) => Op {
  return (packer) => [
    'change',
    id,
    run ? [run.node, run.nodeJobId, run.localAddress, run.runs, Math.trunc(run.runStartedAt)] : null,
    isLeft,
    end ? [end.state, Math.trunc(end.finishedAt), packer.add(end.result), packer.add(end.intermediate), null] : null,
  ]
}
