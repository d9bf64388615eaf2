import type { TrackedNode } from '../../fleet/index.ts'
import type { ReceivedResult } from '../../ledger/index.ts'
import type { LiveJob } from '../liveJobs.ts'
import type { AskedLooksOptions } from './askedLooks.ts'
import type { LoneAsksOptions } from './loneAsks.ts'
import type { NodeJob } from './readAnswer.ts'

/** What a `NodeFollower` works with, and whom it tells what it learns. */
export interface NodeFollowerOptions extends LoneAsksOptions, AskedLooksOptions {
  /** What the node said of a job, or `undefined` where it did not know it. `sinceSeconds`: since the look before. */
  readonly onLook: (job: LiveJob, told: NodeJob | undefined, sinceSeconds: number) => void
  /** A job has ended with a result that went to the ledger while it arrived. Settles when that has the end, too. */
  readonly onReceived: (
    job: LiveJob,
    state: 'success' | 'failed',
    received: ReceivedResult,
    sinceSeconds: number,
  ) => Promise<unknown>
  readonly onTooLarge: (job: LiveJob) => void
  /** Nobody could be asked. */
  readonly onSilence: (node: TrackedNode, jobs: readonly LiveJob[]) => void
  /** The node answered, but not in a way that tells of these jobs. */
  readonly onNoAccount: (jobs: readonly LiveJob[]) => void
}
