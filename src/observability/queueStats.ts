import type { EventEmitter } from 'node:events'
import {
  MOST_CALLERS_SHOWN,
  MOST_POOLS_SHOWN,
  type PoolSnapshot,
  type QueueEvents,
  type QueueSnapshot,
  type WaitingCaller,
} from '../dispatch/queue/snapshot.ts'

/** What is watched of the queue. */
export interface WatchedQueue extends Pick<EventEmitter<QueueEvents>, 'on'> {
  snapshot(): QueueSnapshot
}

/** What `/stats` tells of the queue; times in seconds. */
export interface ToldQueue {
  readonly pools: readonly ToldPool[]
}

interface ToldPool {
  readonly callers: readonly unknown[]
}

/** What `/stats` tells of the queue, in a form that adds up over processes; null where requests never wait (`QUEUE_SIZE=0`). */
export function toldQueue(queue: WatchedQueue | undefined): Record<string, unknown> | null {
  if (!queue) return null
  const { waiting, limit, pools } = queue.snapshot()
  return { waiting, limit, pools: pools.map(toldPool) }
}

/** Several processes may have more pools and callers than one shows: the first ones stay. */
export function boundedQueue<Queue extends ToldQueue>(queue: Queue | null): Queue | null {
  if (!queue) return null
  const pools = queue.pools.slice(0, MOST_POOLS_SHOWN)
  return { ...queue, pools: pools.map((pool) => ({ ...pool, callers: pool.callers.slice(0, MOST_CALLERS_SHOWN) })) }
}

function toldPool(pool: PoolSnapshot): Record<string, unknown> {
  const { name, waiting, longestWaitSeconds, idlePlaces, priorities, fairness, callers } = pool
  return {
    name,
    waiting,
    longest_wait: rounded(longestWaitSeconds),
    idle_places: idlePlaces,
    priorities,
    fairness: fairness === undefined ? null : rounded(fairness),
    callers: callers.map(toldCaller),
  }
}

function toldCaller(one: WaitingCaller): Record<string, unknown> {
  const { caller, priority, weight, waiting, running, longestWaitSeconds, recentWork, lossRatio } = one
  return {
    ...{ caller, priority, weight, waiting, running },
    longest_wait: rounded(longestWaitSeconds),
    recent_work: rounded(recentWork),
    loss_ratio: rounded(lossRatio),
  }
}

function rounded(value: number): number {
  return Math.round(value * 1e4) / 1e4
}
