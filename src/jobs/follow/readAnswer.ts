import {
  ANSWER_LIMITS,
  arraySteps,
  memberOf,
  objectSteps,
  stringAt,
  type JsonMember,
  type JsonSpan,
} from '../../json/index.ts'
import { inTurns, type Steps } from '../../base/index.ts'

/** One job as a node tells it; results stay the bytes that came. */
export interface NodeJob {
  readonly id: string
  readonly status: 'running' | 'success' | 'failed'
  readonly result: Buffer | undefined
  readonly intermediate: Buffer | undefined
}

/** A running job whose intermediate results are too long to be told. */
export function runningJob(id: string): NodeJob {
  return { id, status: 'running', result: undefined, intermediate: undefined }
}

const NULL = Buffer.from('null')

/** Whether a node tells how a job ended. A final state without a result was set by hand, and the job may still run. */
export function hasEnded({ status, result }: NodeJob): boolean {
  return status !== 'running' && result !== undefined && !result.equals(NULL)
}

/** Longest id or state that is decoded, bytes as written. */
const LONGEST_TEXT = 2000
/** Results come from containers and may be deeper and longer than anything a client may send. */
const RESULT_LIMITS = ANSWER_LIMITS

/**
 * Reads a node's `GET /api/jobs?id=…`. An entry that cannot be understood is left out, so that it spoils no other.
 *
 * @returns undefined where the answer is not a list at all
 */
export function* nodeJobSteps(body: Buffer): Steps<NodeJob[] | undefined> {
  let entries: JsonSpan[]
  try {
    entries = yield* arraySteps(body, 0, body.length, RESULT_LIMITS)
  } catch {
    return undefined
  }
  const jobs: NodeJob[] = []
  for (const entry of entries) {
    const job = yield* readNodeJob(body, entry)
    if (job) jobs.push(job)
    yield
  }
  return jobs
}

/** The same, by the ids under which the node knows the jobs. */
export async function readNodeJobs(body: Buffer): Promise<Map<string, NodeJob> | undefined> {
  const told = await inTurns(nodeJobSteps(body))
  if (!told) return undefined
  const byId = new Map<string, NodeJob>()
  for (const entry of told) {
    // A node may tell one id twice, finished and running; the finished one stands.
    if (byId.get(entry.id)?.status !== undefined && entry.status === 'running') continue
    byId.set(entry.id, entry)
  }
  return byId
}

function* membersOf(body: Buffer, entry: JsonSpan): Steps<JsonMember[]> {
  try {
    return yield* objectSteps(body, entry.start, entry.end, RESULT_LIMITS)
  } catch {
    return []
  }
}

function* readNodeJob(body: Buffer, entry: JsonSpan): Steps<NodeJob | undefined> {
  if (entry.kind !== 'object') return undefined
  const members = yield* membersOf(body, entry)
  const id = memberOf(members, 'id')
  const status = memberOf(members, 'status')
  if (id?.kind !== 'string' || status?.kind !== 'string') return undefined
  // What is longer than any id of ours or any state is neither.
  if (id.end - id.start > LONGEST_TEXT || status.end - status.start > LONGEST_TEXT) return undefined
  const state = stringAt(body, status)
  const bytesOf = (name: string): Buffer | undefined => {
    const span = memberOf(members, name)
    // A copy: a slice would keep the whole answer in memory.
    return span && Buffer.from(body.subarray(span.start, span.end))
  }
  return {
    id: stringAt(body, id),
    // A state that we have not heard of is none of the final ones.
    status: state === 'success' || state === 'failed' ? state : 'running',
    result: bytesOf('result'),
    intermediate: bytesOf('intermediate_results'),
  }
}
