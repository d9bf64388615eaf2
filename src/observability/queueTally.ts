import { Counter, Gauge, type Aggregator, type Registry } from 'prom-client'
import { PRIORITIES, type Priority } from '../base/priority.ts'
import type { PoolSnapshot, WaitEnd, Waited } from '../dispatch/queue/snapshot.ts'
import { BoundedLabels, OTHER, shortLabel } from './boundedLabels.ts'
import { BucketHistogram, type Buckets } from './bucketHistogram.ts'
import type { WatchedQueue } from './queueStats.ts'
import { SECONDS_BUCKETS } from './secondsBuckets.ts'

/** Pools with a label value of their own; all further ones share one. */
const MOST_POOLS = 100
/** Pairs of a pool and a caller with a series of their own; further callers of a pool share one. */
const MOST_PAIRS = 200

/** Why a request got no place. */
const REASONS = {
  refused: 'full',
  timedOut: 'timeout',
  noBackend: 'no_backend',
  left: 'left',
} as const satisfies Record<Exclude<WaitEnd, 'placed'>, string>
type Refusal = keyof typeof REASONS
const REFUSALS = Object.keys(REASONS) as Refusal[]

interface PoolTally {
  /** How long requests waited. */
  readonly waits: Readonly<Record<Priority, Buckets>>
  /** Since the counter was last brought up to date. */
  readonly refused: Record<Refusal, number>
}

/** What Prometheus sees of the queue. A wait costs a few look-ups; what stands in the queue is read when Prometheus asks. */
export class QueueTally {
  readonly #poolLabels = new BoundedLabels(MOST_POOLS)
  /** By label. */
  readonly #pools = new Map<string, PoolTally>()
  readonly #seconds: BucketHistogram
  readonly #callers = new CallerLabels(MOST_PAIRS)

  constructor(registry: Registry, queue: WatchedQueue) {
    this.#addGauges(registry, queue)
    this.#seconds = new BucketHistogram({
      name: 'infernet_gateway_queue_wait_seconds',
      help: 'Time that requests waited for a place at a backend, however their wait ended, by pool and priority',
      bounds: SECONDS_BUCKETS,
      registry,
    })
    const bringUpToDate = (counter: Counter<'pool' | 'reason'>): void => this.#moveRefusals(counter)
    new Counter({
      name: 'infernet_gateway_queue_refusals_total',
      help: 'Requests that got no place, by pool and reason: no room to wait (full), QUEUE_TIMEOUT is over (timeout), no backend is left that could take them in time (no_backend), or their client left (left)',
      labelNames: ['pool', 'reason'],
      registers: [registry],
      collect(): void {
        bringUpToDate(this)
      },
    })
    queue.on('waited', (waited) => this.#count(waited))
  }

  #count({ pool, priority, seconds, end }: Waited): void {
    const tally = this.#tallyOf(this.#poolLabels.of(pool))
    if (end !== 'placed') tally.refused[end]++
    // It did not wait at all.
    if (end !== 'refused') tally.waits[priority].observe(seconds)
  }

  #tallyOf(pool: string): PoolTally {
    const known = this.#pools.get(pool)
    if (known) return known
    const waits = Object.fromEntries(PRIORITIES.map((priority) => [priority, this.#seconds.add({ pool, priority })]))
    const tally: PoolTally = {
      waits: waits as Record<Priority, Buckets>,
      refused: { refused: 0, timedOut: 0, noBackend: 0, left: 0 },
    }
    this.#pools.set(pool, tally)
    return tally
  }

  #moveRefusals(counter: Counter<'pool' | 'reason'>): void {
    for (const [pool, { refused }] of this.#pools) {
      for (const end of REFUSALS) {
        // Also 0: Prometheus sees no increase in a series that begins with 1.
        counter.inc({ pool, reason: REASONS[end] }, refused[end])
        refused[end] = 0
      }
    }
  }

  #addGauges(registry: Registry, queue: WatchedQueue): void {
    const gauge = <Label extends string>(
      name: string,
      help: string,
      labelNames: Label[],
      aggregator: Aggregator = 'sum',
    ): Gauge<Label> => new Gauge({ name, help, labelNames, aggregator, registers: [registry] })
    const fill = (): void => {
      const { waiting, limit: most, pools } = queue.snapshot()
      for (const one of [length, longest, idle, fairness, work]) one.reset()
      limit.set(most)
      // A pool that nothing waits in any more has a queue of length 0.
      for (const pool of this.#pools.keys()) for (const one of [length, longest, idle]) one.set({ pool }, 0)
      let shown = 0
      const longestWaits = new Map<string, number>()
      for (const pool of pools) {
        const label = this.#poolLabels.of(pool.name)
        this.#tallyOf(label)
        shown += pool.waiting
        length.inc({ pool: label }, pool.waiting)
        idle.inc({ pool: label }, pool.idlePlaces)
        const longestWait = Math.max(pool.longestWaitSeconds, longestWaits.get(label) ?? 0)
        longestWaits.set(label, longestWait)
        longest.set({ pool: label }, longestWait)
        // Of several pools together it says nothing.
        if (label !== OTHER && pool.fairness !== undefined) fairness.set({ pool: label }, pool.fairness)
        this.#addWork(work, label, pool)
      }
      if (waiting > shown) length.inc({ pool: OTHER }, waiting - shown)
    }
    // Gauges are collected in the order in which they were made: the first one fills all of them, from one look at the queue.
    const length = new Gauge({
      name: 'infernet_gateway_queue_length',
      help: 'Requests that wait for a place at a backend, by pool: those that ask for the same model or containers; those for a backend that is away are "other"',
      labelNames: ['pool'],
      registers: [registry],
      collect: fill,
    })
    const limit = gauge('infernet_gateway_queue_limit', 'QUEUE_SIZE: requests that may wait', [])
    const longest = gauge(
      'infernet_gateway_queue_longest_wait_seconds',
      'How long the request that has waited longest has done so, by pool',
      ['pool'],
      'max',
    )
    // All workers look at the same backends.
    const idle = gauge(
      'infernet_gateway_queue_idle_places',
      'Places that are free at backends while requests wait for them, by pool: normally 0',
      ['pool'],
      'max',
    )
    const fairness = gauge(
      'infernet_gateway_queue_fairness',
      "Jain's index of the work that waiting callers got lately, over their weights, by pool: 1 where all got the same",
      ['pool'],
      'average',
    )
    const work = gauge(
      'infernet_gateway_queue_attained_work',
      'Work that callers got within about the last minute, by pool and caller: tokens where services count them, else seconds of service',
      ['pool', 'caller'],
    )
  }

  #addWork(work: Gauge<'pool' | 'caller'>, pool: string, { callers }: PoolSnapshot): void {
    // One that waits in several priorities is listed in each, each time with all of its work.
    const workOf = new Map(callers.map(({ caller, recentWork }) => [caller, recentWork]))
    for (const [caller, value] of workOf) work.inc({ pool, caller: this.#callers.of(pool, caller) }, value)
  }
}

/** A bounded number of pairs of a pool and a caller, in the order in which they came; all other callers of a pool are one. */
class CallerLabels {
  /** By pool. */
  readonly #known = new Map<string, Set<string>>()
  readonly #most: number
  #size = 0

  constructor(most: number) {
    this.#most = most
  }

  of(pool: string, caller: string): string {
    const label = shortLabel(caller)
    const known = this.#known.get(pool)
    if (known?.has(label)) return label
    if (this.#size >= this.#most) return OTHER
    this.#size++
    if (known) known.add(label)
    else this.#known.set(pool, new Set([label]))
    return label
  }
}
