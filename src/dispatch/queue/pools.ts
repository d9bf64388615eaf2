import type { Fleet } from '../../fleet/fleet.ts'
import type { TrackedNode } from '../../fleet/node.ts'
import type { AskedOfNodes } from '../judge.ts'
import { comparedKindOf } from '../judge.ts'
import type { Requirement } from '../requirement.ts'
import type { Gates } from './gate.ts'
import { Pool, type PoolKeeper } from './pool.ts'

/** Pools that are remembered; past this those without requests are forgotten. */
const MOST_POOLS = 500

/** For how long an engine is asked for its load each second, once a request waited for it. Seconds. */
const WATCH_SECONDS = 2
/** A longer key, which only a client makes up, is remembered while its requests wait or run. */
const MOST_REMEMBERED_KEY = 1000

/** The pools, and how they stand to each other where they share backends. */
export class Pools implements PoolKeeper {
  readonly #fleet: Fleet
  readonly #gates: Gates
  readonly weightOf: (caller: string) => number
  readonly #pools = new Map<string, Pool>()
  /** Those with waiting requests. */
  readonly #waiting = new Set<Pool>()
  /** Work over weight of the pool that was served last at a backend: one that comes has no claim on what was before. */
  readonly #servedAt = new WeakMap<TrackedNode, number>()

  constructor(fleet: Fleet, gates: Gates, weightOf: (caller: string) => number) {
    this.#fleet = fleet
    this.#gates = gates
    this.weightOf = weightOf
  }

  find({ key }: Requirement): Pool | undefined {
    return this.#pools.get(key)
  }

  of({ requirement }: AskedOfNodes): Pool {
    return this.#pools.get(requirement.key) ?? this.#add(requirement)
  }

  all(): Iterable<Pool> {
    return this.#pools.values()
  }

  /** Those with waiting requests. */
  waiting(): Pool[] {
    return [...this.#waiting]
  }

  /** Whether requests wait that may go to the backend. */
  isWanted(node: TrackedNode): boolean {
    for (const pool of this.#waiting) if (pool.fits(node)) return true
    return false
  }

  /** The first request of a pool is about to wait: it has no claim on what others had meanwhile at its backends. */
  joins(pool: Pool): void {
    pool.virtualWork = Math.max(pool.virtualWork, this.#leastOfSiblings(pool))
    this.measure(pool)
    this.#waiting.add(pool)
  }

  hasEmptied(pool: Pool): void {
    this.#waiting.delete(pool)
  }

  /** A request of the pool is about to be served there. */
  served(pool: Pool, node: TrackedNode, now: number): void {
    pool.usedAt = now
    const before = this.#servedAt.get(node)
    if (before === undefined || before < pool.virtualWork) this.#servedAt.set(node, pool.virtualWork)
  }

  /** Finds out anew how much its backends can do at a time. */
  measure(pool: Pool): void {
    let places = 0
    for (const node of this.backends(pool)) {
      const { places: limit } = this.#gates.of(node)
      places += limit === Infinity ? Math.max(1, node.load.inFlight) : limit
    }
    pool.places = Math.max(1, places)
    pool.assumedSeconds = this.#fleet.loads[pool.requirement.kind].meanLatencySeconds
  }

  /** The engines are asked for their load more often, since that decides when requests are served. */
  watchClosely(pool: Pool, now: number): void {
    if (pool.requirement.kind === 'infernet') return
    for (const node of this.backends(pool)) this.#fleet.engines.watchClosely(node, now + WATCH_SECONDS)
  }

  /** Infernet nodes that have no place while requests wait for one there. */
  fullNodes(): Set<TrackedNode> {
    const full = new Set<TrackedNode>()
    for (const pool of this.#waiting) {
      if (pool.requirement.kind !== 'infernet') continue
      for (const node of this.backends(pool)) if (!this.#gates.of(node).isOpen) full.add(node)
    }
    return full
  }

  /** Backends that its requests may go to. */
  *backends(pool: Pool): Iterable<TrackedNode> {
    for (const node of this.#fleet.nodes.values()) if (node.takesWork && pool.fits(node)) yield node
  }

  used(pool: Pool): void {
    const { key } = pool.requirement
    if (pool.waiting > 0 || pool.running > 0) return
    if (key.length > MOST_REMEMBERED_KEY && this.#pools.get(key) === pool) this.#pools.delete(key)
  }

  #add(requirement: Requirement): Pool {
    if (this.#pools.size >= MOST_POOLS) this.#forgetIdle()
    const pool = new Pool(requirement, comparedKindOf(requirement), this)
    this.#pools.set(requirement.key, pool)
    this.measure(pool)
    return pool
  }

  /** The least of those that wait for a backend of its own; else what was served last there. */
  #leastOfSiblings(pool: Pool): number {
    let least = Infinity
    let last = 0
    const others = this.#waiting
    for (const node of this.backends(pool)) {
      last = Math.max(last, this.#servedAt.get(node) ?? 0)
      for (const other of others) if (other.fits(node)) least = Math.min(least, other.virtualWork)
    }
    return least === Infinity ? last : least
  }

  #forgetIdle(): void {
    for (const [key, pool] of this.#pools) {
      if (this.#pools.size <= MOST_POOLS / 2) return
      if (pool.waiting === 0 && pool.running === 0) this.#pools.delete(key)
    }
  }
}
