import type { ConcurrencyMark } from './learntConcurrency.ts'
import type { ServedMark } from './servedSeconds.ts'

/** How work at a node ended. What that tells of the node's health is said by `NodeLoad.succeeded` and `NodeLoad.failed`.
 * - `success`: it was served to the end.
 * - `failure`: it was not: the node broke off, gave no answer, or the job failed.
 * - `pushback`: nothing was served: an answer of 400 or more, or work of which no end is heard.
 * - `cancelled`: the client left. The time served counts all the same, since slow nodes are where clients leave. */
export type WorkOutcome = 'success' | 'failure' | 'pushback' | 'cancelled'

export interface WorkEnd {
  readonly outcome: WorkOutcome
  /** Asynchronous jobs: mean seconds between the end of a job and hearing of it. */
  readonly lagSeconds?: number
  /** What `NodeLoad.started` returned: with it, the time of work that was not served is taken back exactly. */
  readonly mark?: WorkMark
}

/** When work began, in the service that each job gets. */
export interface WorkMark {
  readonly service: ServedMark
  readonly concurrency: ConcurrencyMark
  /** Whether it tries out a node that was set aside. */
  readonly isTrial: boolean
  /** The name of its kind, where it has one. */
  readonly workKind: string | undefined
  /** Service that a single job here had received by then, seconds; undefined for work that began before the gateway did. */
  readonly servedToOne: number | undefined
}
