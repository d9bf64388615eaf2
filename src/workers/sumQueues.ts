import { jainIndex } from '../base/fairness.ts'

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

/** One that waits in several priorities is listed in each, each time with all that it has in the pool. */
interface Caller extends Account {
  readonly caller: string
  readonly priority: string
  readonly waiting: number
  readonly longest_wait: number
}

/** What a caller has in a pool, whatever its requests' priorities. */
interface Account {
  readonly weight: number
  readonly running: number
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
  const accounts = accountsOf(pools)
  const callers = inTurn(pools, accounts)
  const waiting = new Set(callers.filter((caller) => caller.waiting > 0).map(({ caller }) => caller))
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
    fairness: fairnessOf([...waiting].map((caller) => accounts.get(caller)!)),
    callers,
  }
}

/** What callers have in a pool of several processes. */
function accountsOf(pools: readonly Pool[]): Map<string, Account> {
  const each = pools.flatMap(({ callers }) => [...new Map(callers.map((one) => [one.caller, one])).values()])
  const groups = Map.groupBy(each, ({ caller }) => caller)
  return new Map([...groups].map(([caller, accounts]) => [caller, sumAccounts(accounts)]))
}

function sumAccounts(accounts: readonly Account[]): Account {
  return {
    weight: accounts[0]!.weight,
    running: total(accounts, ({ running }) => running),
    recent_work: rounded(total(accounts, ({ recent_work }) => recent_work)),
    loss_ratio: rounded(total(accounts, ({ loss_ratio }) => loss_ratio) / accounts.length),
  }
}

/** The callers of a pool in several processes, those that are next in one of them first. */
function inTurn(pools: readonly Pool[], accounts: ReadonlyMap<string, Account>): Caller[] {
  const placed = pools.flatMap(({ callers }) => callers.map((caller, place) => ({ caller, place })))
  // A caller waits in each priority on its own.
  const groups = groupsOf(placed, ({ caller: { caller, priority } }) => JSON.stringify([caller, priority]))
  const isIdle = (caller: Caller): number => (caller.waiting > 0 ? 0 : 1)
  return groups
    .map((group) => ({
      caller: sumCallers(
        group.map(({ caller }) => caller),
        accounts,
      ),
      place: Math.min(...group.map(({ place }) => place)),
    }))
    .sort((a, b) => isIdle(a.caller) - isIdle(b.caller) || a.place - b.place)
    .map(({ caller }) => caller)
}

function sumCallers(callers: readonly Caller[], accounts: ReadonlyMap<string, Account>): Caller {
  const [first] = callers as [Caller]
  const waiting = total(callers, (one) => one.waiting)
  return {
    ...{ ...first, ...accounts.get(first.caller)!, waiting },
    longest_wait: largest(callers, ({ longest_wait }) => longest_wait),
  }
}

/** Of what callers got, over their weights; null of fewer than two. */
function fairnessOf(callers: readonly Account[]): number | null {
  const index = jainIndex(callers.map(({ recent_work, weight }) => recent_work / weight))
  return index === undefined ? null : rounded(index)
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
