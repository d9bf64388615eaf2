import { steadyClock } from '../base/steadyClock.ts'
import type { JobRecord } from '../ledger/ledger.ts'

/** How long a job that has just ended took, from its acceptance by a node, over all its runs. */
export function jobSeconds({ createdAt }: JobRecord): number {
  return Math.max(0, steadyClock.stampMs() - createdAt) / 1000
}
