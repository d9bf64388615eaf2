import type { TrackedNode } from '../../fleet/node.ts'
import type { BackendRequest } from '../../upstream/attempt.ts'
import type { LiveJob } from '../liveJobs.ts'

export interface JobsRequestOptions {
  readonly withIntermediate: boolean
  readonly via: string
  /** Whether the connection is closed afterwards. */
  readonly reset: boolean
}

/** Asks a node for these jobs. */
export function jobsRequest(
  node: TrackedNode,
  jobs: readonly LiveJob[],
  { withIntermediate, via, reset }: JobsRequestOptions,
): BackendRequest {
  const ids = jobs.map((job) => `id=${encodeURIComponent(job.record.nodeJobId)}`).join('&')
  return {
    method: 'GET',
    path: `${node.spec.basePath}/api/jobs?${ids}${withIntermediate ? '&intermediate=true' : ''}`,
    headers: ['accept', 'application/json', 'via', via],
    body: null,
    reset,
  }
}
