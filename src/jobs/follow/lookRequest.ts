import type { TrackedNode } from '../../fleet/index.ts'
import type { BackendRequest } from '../../upstream/index.ts'
import type { JobRecord } from '../../ledger/index.ts'

/** Most ids in one call: keeps its URL under 8 kB. */
const IDS_PER_CALL = 200
const MAX_URL_LENGTH = 8000

/** A job that a node is asked for by the id that it knows. */
interface AskedFor {
  readonly record: Pick<JobRecord, 'nodeJobId'>
}

/** What came of asking: others may be asked for, this answer could not be read, or nobody is to be asked for more. */
export type LookOutcome = 'goOn' | 'unreadable' | 'stop'

/** How a node is asked for jobs. */
export interface LookOptions {
  readonly via: string
  /** On whose account: the node limits its callers by address. */
  readonly address: string
  readonly withIntermediate: boolean
  /** Whether the next call shall have another connection, which may lead to another node. */
  readonly reset: boolean
}

/** `GET /api/jobs?id=…` at a node. */
export function lookRequest(node: TrackedNode, jobs: readonly AskedFor[], options: LookOptions): BackendRequest {
  const { via, address, withIntermediate, reset } = options
  const ids = jobs.map((job) => `id=${encodeURIComponent(job.record.nodeJobId)}`).join('&')
  return {
    method: 'GET',
    path: `${node.spec.basePath}/api/jobs?${ids}${withIntermediate ? '&intermediate=true' : ''}`,
    headers: ['accept', 'application/json', 'via', via, 'x-forwarded-for', address],
    body: null,
    reset,
  }
}

/** As many of these jobs as go into `most` calls. */
export function splitIntoCalls<Job extends AskedFor>(node: TrackedNode, jobs: readonly Job[], most: number): Job[][] {
  const calls: Job[][] = []
  let length = MAX_URL_LENGTH
  for (const job of jobs) {
    const size = encodeURIComponent(job.record.nodeJobId).length + 4
    if (length + size > MAX_URL_LENGTH || (calls.at(-1)?.length ?? 0) >= IDS_PER_CALL) {
      if (calls.length >= most) break
      calls.push([])
      length = '/api/jobs?intermediate=true'.length + node.spec.basePath.length
    }
    calls.at(-1)?.push(job)
    length += size
  }
  return calls
}
