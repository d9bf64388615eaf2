import type { CallBudget } from '../../fleet/index.ts'

/** In whose name a node is asked, and how often it lets that one ask. */
export interface Account {
  readonly address: string
  readonly budget: CallBudget
  /** The gateway's own: it asks for all jobs at regular times, and concludes from jobs that a node does not know any more. */
  readonly isOwn: boolean
}
