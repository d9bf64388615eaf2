import type { Priority } from '../base/priority.ts'
import type { TrackedNode } from '../fleet/node.ts'
import type { AskedOfNodes } from './judge.ts'
import type { Prompt } from './warmCaches/prompt.ts'

/** What a request asks of a backend, as far as choosing one goes. */
export interface WorkRequest {
  /** What answers are judged by. All tries of a request share it, and a job keeps it to its end: nothing large is to hang on it. */
  readonly asked: AskedOfNodes
  /** Cooldowns after a pushback are kept for this; usually endpoint and caller. */
  readonly cooldownKey: string
  /** Requests of one session go to the same backend, as long as that costs nothing. */
  readonly session?: string | undefined
  /** What it generates from; requests that generate nothing have none. */
  readonly prompt?: Prompt | undefined
  /** The job's cost by the client's hint. */
  readonly cost?: number | undefined
  /** Backends that were asked before, and are not asked again. */
  readonly tried?: ReadonlySet<TrackedNode>
  /** Those of them that could not be reached: nothing was sent, so they may be asked again once they are back. */
  readonly unreached?: ReadonlySet<TrackedNode> | undefined
  /** Default: `normal`. */
  readonly priority?: Priority | undefined
  /** Given by the queue at the first wait, and found again at a later one. */
  turn?: Turn | undefined
}

/** A request's claim to be served, which it keeps over several waits. */
export interface Turn {
  /** Those with a lower number came earlier. */
  readonly order: number
  /** How much longer it may wait, all its waits together. */
  secondsLeft: number
}
