import { limitKeyOf } from '../../base/limitKey.ts'
import { steadyClock } from '../../base/steadyClock.ts'
import {
  answerBytes,
  ANSWER_OVERHEAD_BYTES,
  JOB_OVERHEAD_BYTES,
  KEPT_ANSWER_TTL_MS,
  unfinishedBytes,
  type IdempotencyRecord,
  type JobEnd,
  type JobRecord,
  type JobRun,
  type JobState,
  type NewJob,
} from '../ledger.ts'
import type { RedisArgument, RedisReply } from './connection.ts'
import { keyName } from './coordination/keys.ts'
import type { InsertMode } from './scripts/write.ts'

/** What a job takes in Redis besides request, result and containers (measured), and what an answer does. */
const JOB_BYTES = 1650
const ANSWER_BYTES = 500

/** Fields of a record that never change, kept as one JSON text. A new field of JobRecord is asked for here, or below. */
type MetaField = Exclude<
  keyof JobRecord,
  keyof JobRun | 'id' | 'caller' | 'state' | 'finishedAt' | 'clientGone' // each has a field of its own
>
const META_FIELDS = Object.keys({
  clientAddress: true,
  kind: true,
  containers: true,
  createdAt: true,
  failover: true,
  cost: true,
} satisfies Record<MetaField, true>)

/** Fields of a job's hash of which its record is made; see `recordOf`. */
export const RECORD_FIELDS = ['c', 'm', 's', 'n', 'r', 'v', 'g', 'f'] as const

export type Operation = readonly RedisArgument[]

export function insertOperation(mode: InsertMode, jobs: readonly NewJob[], answer?: IdempotencyRecord): Operation {
  const operation: RedisArgument[] = ['I', mode, String(jobs.length)]
  for (const { record, request, room = 0 } of jobs) {
    const bytes = JOB_BYTES - JOB_OVERHEAD_BYTES + unfinishedBytes(record.containers, 0)
    operation.push(record.id, record.caller, limitKeyOf(record.caller), JSON.stringify(record, META_FIELDS))
    operation.push(record.node, String(record.runs), runText(record), String(bytes), String(room))
    operation.push(record.clientGone ? '1' : '0', request ?? '')
  }
  if (!answer) return [...operation, '0']
  return [...operation, '1', ...answerArguments(answer)]
}

function answerArguments(answer: IdempotencyRecord): RedisArgument[] {
  const { caller, path, key, bodyHash, status, contentType, body, node } = answer
  const bytes = ANSWER_BYTES - ANSWER_OVERHEAD_BYTES + answerBytes(answer)
  const expiredAt = steadyClock.expiryMs() - KEPT_ANSWER_TTL_MS
  return [
    ...[keyName(answer), limitKeyOf(caller), String(expiredAt), String(bytes), dateOf(answer)],
    ...[bodyHash, String(status), contentType, body, node ?? '', caller, path, key],
  ]
}

function dateOf({ createdAt }: IdempotencyRecord): string {
  return String(Math.trunc(createdAt))
}

export function dropAnswerOperation(answer: IdempotencyRecord): Operation {
  return ['D', keyName(answer), dateOf(answer), answer.body]
}

export function finishOperation(id: string, { state, finishedAt, result, intermediate }: JobEnd): Operation {
  const date = String(Math.trunc(finishedAt))
  return ['F', id, state, date, 'value', result, intermediate ? '1' : '0', intermediate ?? '']
}

/** A result that was received before. */
export interface ReceivedName {
  readonly name: string
  readonly resultBytes: number
  /** -1 where there are none. */
  readonly intermediateBytes: number
}

export function finishReceivedOperation(
  id: string,
  { state, finishedAt }: Pick<JobEnd, 'state' | 'finishedAt'>,
  { name, resultBytes, intermediateBytes }: ReceivedName,
): Operation {
  const date = String(Math.trunc(finishedAt))
  return ['F', id, state, date, 'received', name, String(resultBytes), String(intermediateBytes)]
}

export function runOperation(id: string, run: JobRun, expected: number): Operation {
  return ['R', id, String(expected), run.node, String(run.runs), runText(run)]
}

/** All of a run but its node and its number. */
function runText({ nodeJobId, localAddress, runStartedAt }: JobRun): string {
  return JSON.stringify([nodeJobId, localAddress, Math.trunc(runStartedAt)])
}

/** The record of a job from its fields RECORD_FIELDS; `undefined` where there is no such job. */
export function recordOf(id: string, row: RedisReply): JobRecord | undefined {
  const [caller, meta, state, node, runs, run, isLeft, finishedAt] = row as readonly (Buffer | null)[]
  if (!caller) return undefined
  const [nodeJobId, localAddress, runStartedAt] = JSON.parse(String(run)) as [string, string, number]
  return {
    ...(JSON.parse(String(meta)) as Pick<JobRecord, MetaField>),
    ...{ id, caller: String(caller), state: String(state) as JobState },
    ...{ node: String(node), nodeJobId, localAddress, runs: Number(runs), runStartedAt },
    ...(isLeft && { clientGone: true }),
    ...(finishedAt && { finishedAt: Number(finishedAt) }),
  }
}

export const ANSWER_FIELDS = ['t', 'h', 'status', 'type', 'body', 'node', 'caller', 'path', 'key'] as const

/** An answer from its fields ANSWER_FIELDS. */
export function answerOf(row: RedisReply): IdempotencyRecord | undefined {
  const [date, bodyHash, status, contentType, body, node, caller, path, key] = row as readonly (Buffer | null)[]
  if (!date) return undefined
  return {
    ...{ caller: String(caller), path: String(path), key: String(key), bodyHash: bodyHash!, body: body! },
    ...{ status: Number(status), contentType: String(contentType), createdAt: Number(date) },
    ...(node && node.length > 0 && { node: String(node) }),
  }
}
