import type { Priority } from '../../base/priority.ts'
import type { TrackedNode } from '../../fleet/node.ts'

/** The queue for people: `/stats`, `/metrics` and the dashboard. */
export interface QueueSnapshot {
  /** Requests that wait for a place now. */
  readonly waiting: number
  /** Requests that may wait (`QUEUE_SIZE`). */
  readonly limit: number
  /** Those with waiting requests first, the longest queue first; at most `MOST_POOLS_SHOWN`. */
  readonly pools: readonly PoolSnapshot[]
}

/** Requests that ask for the same: one model, or the same containers. */
export interface PoolSnapshot {
  /** Such as `model llama` or `container a`. */
  readonly name: string
  readonly waiting: number
  /** How long the request that has waited longest has done so, seconds; 0 where none waits. */
  readonly longestWaitSeconds: number
  /** Places that are free at its backends while requests wait: normally 0. */
  readonly idlePlaces: number
  /** Waiting requests by priority. */
  readonly priorities: Readonly<Record<Priority, number>>
  /**
   * Jain's index of the recent work over weight of callers that waited: 1 where all got the same, 1/n where one of n got all.
   * Undefined where fewer than two did.
   */
  readonly fairness: number | undefined
  /** Callers that wait, the next one first; then those that only have work under way. At most `MOST_CALLERS_SHOWN`. */
  readonly callers: readonly WaitingCaller[]
}

export interface WaitingCaller {
  readonly caller: string
  readonly priority: Priority
  readonly weight: number
  readonly waiting: number
  /** Requests of it that backends work on. */
  readonly running: number
  /** Of its oldest waiting request, seconds; 0 where none waits. */
  readonly longestWaitSeconds: number
  /** Work that it got within about the last minute, fading: tokens where services count them, else seconds of service. */
  readonly recentWork: number
  /** Part of its requests that left or timed out before they were done, 0 to 1, recent ones counting most. */
  readonly lossRatio: number
}

/** How a wait ended. */
export type WaitEnd = 'placed' | 'left' | 'timedOut' | 'refused' | 'noBackend'

/** One wait that has ended, or a request that was refused for want of room (`seconds` is 0). */
export interface Waited {
  /** As in `PoolSnapshot.name`. */
  readonly pool: string
  readonly caller: string
  readonly priority: Priority
  readonly seconds: number
  readonly end: WaitEnd
}

export interface QueueEvents {
  waited: [Waited]
  /** Requests wait for a place at this node, which has none; emitted again and again while they do. */
  wanted: [node: TrackedNode]
}

export const MOST_POOLS_SHOWN = 100
export const MOST_CALLERS_SHOWN = 20
