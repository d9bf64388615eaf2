import { randomUUID } from 'node:crypto'
import type { Lease } from '../dispatch/index.ts'
import { memberOf, scanObject, splice, stringAt } from '../json/index.ts'
import { GatewayFault } from '../faults.ts'
import type { JobOptions } from './jobOptions.ts'
import type { JobKind, JobRecord, IdempotencyRecord } from '../ledger/index.ts'
import type { AcceptedJob, LiveJobs } from './liveJobs.ts'
import { type Priority, steadyClock } from '../base/index.ts'

/** Who submitted a job, and how. */
export interface Submitter {
  readonly caller: string
  readonly clientAddress: string
  /** Its requests' where they wait for places; default: `normal`. */
  readonly priority?: Priority | undefined
  readonly options: JobOptions
}

/** What is taken from a node as an id: it travels on in headers and URLs. */
const USABLE_ID = /^[\x21-\x7e]{1,200}$/

export function isUsableId(id: string): boolean {
  return USABLE_ID.test(id)
}

/** The id in a node's `{"id": …}`; `undefined` where there is none, as for subscriptions, or none that can be used. */
export function idIn(body: Buffer): { id: string; start: number; end: number } | undefined {
  try {
    const member = memberOf(scanObject(body), 'id')
    if (member?.kind !== 'string') return undefined
    const id = stringAt(body, member)
    return isUsableId(id) ? { id, start: member.start, end: member.end } : undefined
  } catch {
    return undefined
  }
}

/** Whether a node meant to name an id, be it one that cannot be used. */
export function namesId(body: Buffer): boolean {
  try {
    return memberOf(scanObject(body), 'id') !== undefined
  } catch {
    return false
  }
}

/** The ledger's record of a job that a node has just accepted. */
export function newRecord(
  nodeJobId: string,
  kind: JobKind,
  containers: readonly string[],
  lease: Lease,
  by: Submitter,
): JobRecord {
  const now = steadyClock.stampMs()
  return {
    id: nodeJobId,
    nodeJobId,
    kind,
    containers,
    caller: by.caller,
    clientAddress: by.clientAddress,
    node: lease.node.key,
    localAddress: lease.node.localAddress ?? '',
    runs: 1,
    runStartedAt: now,
    createdAt: now,
    state: 'running',
    failover: by.options.failover,
    cost: by.options.cost,
  }
}

/**
 * Records one accepted job. Should its id be taken, because a node hands out ids twice, the job gets one of ours: the
 * older job must neither be lost nor seen by somebody else.
 *
 * @returns the answer's bytes, with the id that is valid here
 */
export async function acceptJob(
  live: LiveJobs,
  job: AcceptedJob,
  body: Buffer,
  answer?: IdempotencyRecord,
): Promise<Buffer> {
  try {
    await live.accept([job], answer)
    return body
  } catch (error) {
    if (!isDuplicate(error)) throw error
    const id = randomUUID()
    const span = idIn(body)
    if (!span) throw new GatewayFault('ERR_NODE_NONSENSE', undefined, { cause: error })
    const own = splice(body, span, Buffer.from(JSON.stringify(id)))
    await live.accept([{ ...job, record: { ...job.record, id } }], answer && { ...answer, body: own })
    return own
  }
}

export function isDuplicate(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === 'ERR_DUPLICATE'
}
