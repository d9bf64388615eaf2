/** What one process tells of its queue in `/stats`; times in seconds. */
export interface Queue {
  readonly waiting: number
  readonly limit: number
  readonly pools: readonly Pool[]
}

interface Pool {
  readonly name: string
  readonly waiting: number
  readonly longest_wait: number
  readonly idle_places: number
  readonly priorities: Readonly<Record<string, number>>
  readonly fairness: number | null
  /** In the order in which they have their turn. */
  readonly callers: readonly Caller[]
}

interface Caller {
  readonly caller: string
  readonly priority: string
  readonly weight: number
  readonly waiting: number
  readonly running: number
  readonly longest_wait: number
  readonly recent_work: number
  readonly loss_ratio: number
}

/** The queues of several processes as one. Null where none has any. */
export function sumQueues(all: readonly (Queue | null)[]): Queue | null {
  const queues = all.filter((queue) => queue !== null)
  if (queues.length === 0) return null
  const pools = groupsOf(
    queues.flatMap(({ pools }) => pools),
    ({ name }) => name,
  )
  return {
    waiting: total(queues, ({ waiting }) => waiting),
    limit: total(queues, ({ limit }) => limit),
    pools: pools.map(sumPools).sort((a, b) => b.waiting - a.waiting),
  }
}

/** The same pool of several processes. */
function sumPools(pools: readonly Pool[]): Pool {
  const [first] = pools as [Pool]
  if (pools.length === 1) return first
  const callers = inTurn(pools)
  const priorities = Object.keys(first.priorities).map((name): [string, number] => [
    name,
    total(pools, (pool) => pool.priorities[name] ?? 0),
  ])
  return {
    name: first.name,
    waiting: total(pools, ({ waiting }) => waiting),
    longest_wait: largest(pools, ({ longest_wait }) => longest_wait),
    // All processes look at the same backends.
    idle_places: largest(pools, ({ idle_places }) => idle_places),
    priorities: Object.fromEntries(priorities),
    fairness: fairnessOf(callers.filter(({ waiting }) => waiting > 0)),
    callers,
  }
}

/** The callers of a pool in several processes, those that are next in one of them first. */
function inTurn(pools: readonly Pool[]): Caller[] {
  const placed = pools.flatMap(({ callers }) => callers.map((caller, place) => ({ caller, place })))
  // A caller waits in each priority on its own.
  const groups = groupsOf(placed, ({ caller: { caller, priority } }) => JSON.stringify([caller, priority]))
  const isIdle = (caller: Caller): number => (caller.waiting > 0 ? 0 : 1)
  return groups
    .map((group) => ({
      caller: sumCallers(group.map(({ caller }) => caller)),
      place: Math.min(...group.map(({ place }) => place)),
    }))
    .sort((a, b) => isIdle(a.caller) - isIdle(b.caller) || a.place - b.place)
    .map(({ caller }) => caller)
}

function sumCallers(callers: readonly Caller[]): Caller {
  const [{ caller, priority, weight }] = callers as [Caller]
  return {
    ...{ caller, priority, weight },
    waiting: total(callers, ({ waiting }) => waiting),
    running: total(callers, ({ running }) => running),
    longest_wait: largest(callers, ({ longest_wait }) => longest_wait),
    recent_work: rounded(total(callers, ({ recent_work }) => recent_work)),
    loss_ratio: rounded(total(callers, ({ loss_ratio }) => loss_ratio) / callers.length),
  }
}

/** Jain's index of what callers got, over their weights; null of fewer than two. */
function fairnessOf(callers: readonly Caller[]): number | null {
  if (callers.length < 2) return null
  const shares = callers.map(({ recent_work, weight }) => recent_work / weight)
  const squares = total(shares, (share) => share ** 2)
  return squares === 0 ? 1 : rounded(total(shares, (share) => share) ** 2 / (shares.length * squares))
}

function groupsOf<T>(items: readonly T[], keyOf: (item: T) => string): T[][] {
  return [...Map.groupBy(items, keyOf).values()]
}

function total<T>(items: readonly T[], valueOf: (item: T) => number): number {
  return items.reduce((sum, item) => sum + valueOf(item), 0)
}

function largest<T>(items: readonly T[], valueOf: (item: T) => number): number {
  return Math.max(...items.map(valueOf))
}

function rounded(value: number): number {
  return Math.round(value * 1e4) / 1e4
}
