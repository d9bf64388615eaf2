import { GatewayFault, type FaultCode } from '../../faults.ts'
import type { ReplicaState } from '../../replicas/index.ts'
import { DuplicateJobError, type LedgerHealth, type ResultPart } from '../ledger.ts'
import type { Packed } from '../packedBytes.ts'
import { ANSWERS, JOBS, type Row } from '../sqlite/columns.ts'
import type { IdempotencyRecord, JobRecord } from '../ledger.ts'

// What passes between a worker and the primary. A message costs some 20 µs of each process and a call in it 1 to 2 µs, hence
// groups of calls, flat arrays, and all bytes of a message in one buffer. `undefined` marks the places of these bytes, so null
// stands for nothing.

/** A call of one of the OPERATIONS; calls whose number is 0 get no reply. */
export type Call = [number: number, name: string, ...args: unknown[]]
type CallsMessage = [calls: Call[]]

export type Failure = [index: number, code: string, message: string, headers: Readonly<Record<string, string>> | null]
type HealthRow = [isWritable: boolean, reason: string | null, keptBytes: number, jobs: number, held: number]

/** Values and failures of calls that have ended, by their numbers, and what has changed since the last message. */
type ReplyMessage = [
  numbers: number[],
  values: unknown[],
  failures: Failure[],
  health: HealthRow | null,
  replicas: readonly ReplicaState[] | null,
  disowned: string[],
]

export type ToPrimary = Packed<CallsMessage>
export type ToWorker = Packed<ReplyMessage>

export type JobRow = [record: Row, request: Uint8Array | null, room: number]
/** `null`: none. A number is the length of bytes that are to be read in pieces. */
type PartRow = Uint8Array | number | null
export type StatusRow = [id: string, state: string, node: string, result: PartRow, intermediate: PartRow]

export const PARTS: readonly ResultPart[] = ['result', 'intermediate']

export function recordRow(record: JobRecord): Row {
  return JOBS.rowOf(record)
}

export function recordOf(row: Row): JobRecord {
  return JOBS.itemOf(row)
}

export function answerRow(answer: IdempotencyRecord): Row {
  return ANSWERS.rowOf(answer)
}

export function answerOf(row: Row): IdempotencyRecord {
  return ANSWERS.itemOf(row)
}

export function healthRow({ writable, reason, keptBytes, jobs, held }: LedgerHealth): HealthRow {
  return [writable, reason ?? null, keptBytes, jobs, held]
}

export function healthOf([writable, reason, keptBytes, jobs, held]: HealthRow): LedgerHealth {
  return { writable, ...(reason !== null && { reason }), keptBytes, jobs, held }
}

/** What of an error the other process needs. */
export function failureOf(index: number, error: unknown): Failure {
  if (error instanceof DuplicateJobError) return [index, error.code, '', null]
  if (error instanceof GatewayFault) return [index, error.code, error.message, error.headers ?? null]
  return [index, '', error instanceof Error ? error.message : String(error), null]
}

export function errorOf([, code, message, headers]: Failure): Error {
  if (code === 'ERR_DUPLICATE') return new DuplicateJobError()
  if (code === '') return new Error(message)
  return new GatewayFault(code as FaultCode, message, headers ? { headers } : {})
}
