import type { Request, Response } from 'express'
import type { EventEmitter } from 'node:events'
import { FAULTS, type FaultCode } from '../../faults.ts'
import { contextOf, type ItemNote } from '../../http/context.ts'
import { upgradeOf } from '../../http/upgrades.ts'
import type { LiveJobs } from '../../jobs/liveJobs.ts'
import type { Served } from '../../openai/forward.ts'
import { CacheTable, type RawCacheRow } from './cacheTable.ts'
import { bucketOf, LATENCY_BUCKETS } from './latencies.ts'
import { OUTCOMES, outcomeOf } from './outcome.ts'
import { machineSeconds, PeriodCounts } from './periods.ts'
import { WorkTable, type RawRow } from './workTable.ts'

/** 15 minutes in periods of 10 seconds. */
const PERIODS = 90
const PERIOD_SECONDS = 10

/** The counters of a period, in order; behind them those of faults, then those of times. */
const COUNTERS = [...OUTCOMES, 'jobs_succeeded', 'jobs_failed', 'jobs_rerun'] as const
type Counter = (typeof COUNTERS)[number]
const FAULT_CODES = Object.keys(FAULTS) as FaultCode[]
const INDEX = Object.fromEntries([...COUNTERS, ...FAULT_CODES].map((name, index) => [name, index])) as Record<
  Counter | FaultCode,
  number
>
const LATENCY = COUNTERS.length + FAULT_CODES.length
const WIDTH = LATENCY + LATENCY_BUCKETS

/** Containers of one request that get a row of their own; more are made up. */
const MOST_CONTAINERS = 10

/** The last 15 minutes in a form that adds up over the processes of a machine. All lists are by period, the oldest first. */
export interface RawActivity {
  readonly period_seconds: number
  /** Number of the last period by the machine's monotonic clock. */
  readonly newest: number
  /** How much of the last period is over, seconds. */
  readonly newest_seconds: number
  /** For how long has been counted, seconds; at most all periods together. */
  readonly counted_seconds: number
  readonly counts: Readonly<Record<string, readonly number[]>>
  /** Codes that occurred. */
  readonly faults: Readonly<Record<string, readonly number[]>>
  /** Times of requests that a backend served, by bucket. */
  readonly latencies: readonly (readonly number[])[]
}

/** All that is told of what clients have asked for lately. */
export interface RawWork {
  readonly activity: RawActivity
  readonly models: readonly RawRow[]
  readonly containers: readonly RawRow[]
  /** How prompt caches were used, by service and model. */
  readonly caches: readonly RawCacheRow[]
}

/** Counts what clients asked for and got in the last 15 minutes: a few additions a request, in memory of a fixed size. */
export class Activity {
  readonly #now: () => number
  readonly #startedAt: number
  readonly #periods = new PeriodCounts({ periods: PERIODS, seconds: PERIOD_SECONDS, width: WIDTH })
  readonly #models = new WorkTable()
  readonly #containers = new WorkTable()
  readonly #caches = new CacheTable()

  /** @param now monotonic seconds */
  constructor(now = machineSeconds) {
    this.#now = now
    this.#startedAt = now()
  }

  /** Counts jobs as they end and are run again, the tokens of answers, and what caches did for them. */
  listen(live: LiveJobs, openai: EventEmitter<{ served: [Served] }>): void {
    live.on('ended', ({ record }, { state }) =>
      this.#jobs(state === 'success' ? 'jobs_succeeded' : 'jobs_failed', record.containers),
    )
    live.on('rerun', ({ record }) => this.#jobs('jobs_rerun', record.containers))
    openai.on('served', (served) => {
      const { model, usage } = served
      const now = this.#now()
      this.#caches.count(served, now)
      if (!usage) return
      this.#models.add(model, { counter: 'prompt_tokens', amount: usage.promptTokens, isNew: true }, now)
      this.#models.add(model, { counter: 'completion_tokens', amount: usage.completionTokens, isNew: true }, now)
    })
  }

  /** Counts a request that has ended, unless it was for a page of the gateway itself. */
  observe(req: Request, res: Response): void {
    const context = contextOf(req)
    if (context.isOwnPage) return
    const now = this.#now()
    const outcome = outcomeOf(req, res)
    const at = this.#periods.at(now)
    const { counts } = this.#periods
    counts[at + INDEX[outcome]]!++
    const { fault, node, model, containers, items } = context
    if (fault) counts[at + INDEX[fault.code]]!++
    else if (items) for (const item of items) if (item.fault) counts[at + INDEX[item.fault]]!++
    // How long a WebSocket is open, or until a client lost patience, says nothing of how fast it was served.
    if (node !== undefined && outcome !== 'left' && !upgradeOf(req)) {
      counts[at + LATENCY + bucketOf((performance.now() - context.startedAt) / 1000)]!++
    }
    if (model !== undefined) this.#models.answered(model, outcome, context, now)
    if (containers) eachOf(containers, (id) => this.#containers.answered(id, outcome, context, now))
    if (items) this.#items(items, now)
  }

  /** What was counted, as plain values. */
  raw(): RawWork {
    const now = this.#now()
    const periods = this.#periods
    const series = (index: number): number[] => periods.series(index, now)
    const faults = FAULT_CODES.map((code) => [code, series(INDEX[code])] as const)
    const newest = periods.newest(now)
    return {
      activity: {
        period_seconds: PERIOD_SECONDS,
        newest,
        newest_seconds: now - newest * PERIOD_SECONDS,
        counted_seconds: Math.min(now - this.#startedAt, PERIODS * PERIOD_SECONDS),
        counts: Object.fromEntries(COUNTERS.map((name) => [name, series(INDEX[name])])),
        faults: Object.fromEntries(faults.filter(([, values]) => values.some((value) => value > 0))),
        latencies: periods.countersFrom(LATENCY, now),
      },
      models: this.#models.raw(now),
      containers: this.#containers.raw(now),
      caches: this.#caches.raw(now),
    }
  }

  #items(items: readonly ItemNote[], now: number): void {
    for (const { containers, outcome } of items) {
      const addition = { counter: outcome, amount: 1, isNew: outcome !== 'refused' }
      eachOf(containers, (id) => this.#containers.add(id, addition, now))
    }
  }

  #jobs(counter: 'jobs_succeeded' | 'jobs_failed' | 'jobs_rerun', containers: readonly string[]): void {
    const now = this.#now()
    this.#periods.counts[this.#periods.at(now) + INDEX[counter]]!++
    eachOf(containers, (id) => this.#containers.add(id, { counter, amount: 1, isNew: true }, now))
  }
}

/** Each container once. */
function eachOf(containers: readonly string[], count: (id: string) => void): void {
  if (containers.length === 1) return count(containers[0] as string)
  for (const id of new Set(containers.slice(0, MOST_CONTAINERS))) count(id)
}
