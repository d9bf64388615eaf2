import type { Account } from './account.ts'
import type { Gates } from './gate.ts'
import type { Lane } from './lane.ts'
import type { Pool } from './pool.ts'
import type { Pools } from './pools.ts'
import type { Room } from './room.ts'
import { jainIndex } from '../../base/fairness.ts'
import { PRIORITIES } from '../../base/priority.ts'
import {
  MOST_CALLERS_SHOWN,
  MOST_POOLS_SHOWN,
  type PoolSnapshot,
  type QueueSnapshot,
  type WaitingCaller,
} from './snapshot.ts'

/** Pools without requests are shown for this long, seconds. */
const SHOWN_SECONDS = 900

/** The queue as people see it. `now`: monotonic seconds. */
export function snapshotOf(pools: Pools, gates: Gates, room: Room, now: number): QueueSnapshot {
  const shown = [...pools.all()].filter(({ waiting, usedAt }) => waiting > 0 || now - usedAt < SHOWN_SECONDS)
  shown.sort((a, b) => b.waiting - a.waiting || b.usedAt - a.usedAt)
  return {
    waiting: room.taken,
    limit: room.limit,
    pools: shown.slice(0, MOST_POOLS_SHOWN).map((pool) => poolOf(pool, pools, gates, now)),
  }
}

function poolOf(pool: Pool, pools: Pools, gates: Gates, now: number): PoolSnapshot {
  const { name, waiting, classes } = pool
  const lanes = pool.inTurn().flatMap((of) => [...of.lanes].sort((a, b) => a.quanta - b.quanta || inOrder(a, b)))
  const callers: WaitingCaller[] = lanes.slice(0, MOST_CALLERS_SHOWN).map((lane) => callerOf(lane, now))
  const isShown = new Set(lanes.map(({ account }) => account))
  for (const account of pool.accounts.values()) {
    if (callers.length >= MOST_CALLERS_SHOWN) break
    if (account.running > 0 && !isShown.has(account)) callers.push(runningOf(account, now))
  }
  return {
    name,
    waiting,
    longestWaitSeconds: lanes.reduce((longest, lane) => Math.max(longest, waitOf(lane, now)), 0),
    idlePlaces: waiting > pool.resting ? idlePlaces(pool, pools, gates) : 0,
    priorities: Object.fromEntries(
      PRIORITIES.map((priority) => [priority, classes[priority].waiting]),
    ) as PoolSnapshot['priorities'],
    fairness: jainIndex([...isShown].map(({ recent, weight }) => recent.at(now) / weight)),
    callers,
  }
}

/** Places that are free while requests wait; a backend without a limit counts as one. */
function idlePlaces(pool: Pool, pools: Pools, gates: Gates): number {
  let idle = 0
  for (const node of pools.backends(pool)) {
    const { free } = gates.of(node)
    idle += free === Infinity ? 1 : free
  }
  return idle
}

function callerOf(lane: Lane, now: number): WaitingCaller {
  const { account, priority, size } = lane
  return { ...common(account, now), priority, waiting: size, longestWaitSeconds: waitOf(lane, now) }
}

function runningOf(account: Account, now: number): WaitingCaller {
  return { ...common(account, now), priority: 'normal', waiting: 0, longestWaitSeconds: 0 }
}

function common(account: Account, now: number): Omit<WaitingCaller, 'priority' | 'waiting' | 'longestWaitSeconds'> {
  const { caller, weight, running, lossRatio, recent } = account
  return { caller, weight, running, recentWork: recent.at(now), lossRatio }
}

function waitOf(lane: Lane, now: number): number {
  return lane.oldest ? now - lane.oldest.since : 0
}

function inOrder(a: Lane, b: Lane): number {
  return (a.oldest?.turn.order ?? 0) - (b.oldest?.turn.order ?? 0)
}
