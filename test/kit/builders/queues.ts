/** A queue as pages and metrics watch it, with what a test puts into it. */
import { EventEmitter } from 'node:events'
import type {
  PoolSnapshot,
  QueueEvents,
  QueueSnapshot,
  Waited,
  WaitingCaller,
} from '../../../src/dispatch/queue/snapshot.ts'

/** A queue that holds what it is told to. */
export class StandingQueue extends EventEmitter<QueueEvents> {
  pools: readonly PoolSnapshot[]
  /** Requests that wait in pools which are not shown. */
  hidden = 0
  readonly limit: number

  constructor(pools: readonly PoolSnapshot[] = [], limit = 1000) {
    super()
    this.pools = pools
    this.limit = limit
  }

  snapshot(): QueueSnapshot {
    const waiting = this.pools.reduce((sum, pool) => sum + pool.waiting, this.hidden)
    return { waiting, limit: this.limit, pools: this.pools }
  }

  /** A wait in the pool `model m`, of normal priority, has ended with a place. */
  waited(more: Partial<Waited> = {}): void {
    const waited = { pool: 'model m', caller: 'name:alice', priority: 'normal', seconds: 1, end: 'placed' } as const
    this.emit('waited', { ...waited, ...more })
  }
}

/** The pool `model m`, in which nothing waits. */
export function poolOf(more: Partial<PoolSnapshot> = {}): PoolSnapshot {
  return {
    ...{ name: 'model m', waiting: 0, longestWaitSeconds: 0, idlePlaces: 0 },
    ...{ priorities: { high: 0, normal: more.waiting ?? 0, low: 0 }, fairness: undefined, callers: [] },
    ...more,
  }
}

/** A caller of which nothing waits, runs or ran. */
export function callerOf(caller: string, more: Partial<WaitingCaller> = {}): WaitingCaller {
  return {
    ...{ caller, priority: 'normal', weight: 1, waiting: 0, running: 0 },
    ...{ longestWaitSeconds: 0, recentWork: 0, lossRatio: 0 },
    ...more,
  }
}
