import { Counter, type Registry } from 'prom-client'
import { BucketHistogram, type Buckets } from './bucketHistogram.ts'
import { SECONDS_BUCKETS } from './secondsBuckets.ts'

/** Where a request went. */
interface Asked {
  readonly route: string
  readonly method: string
}

/** How it ended. */
interface Answered {
  /** 0: the client left. */
  readonly status: number
  readonly seconds: number
  /** Backends that were asked, and those of them that were because another had failed. */
  readonly tries: number
  readonly retries: number
}

/** Requests of one route by one method. Counts are of the time since the counters were last brought up to date. */
interface Tally extends Asked {
  readonly buckets: Buckets
  readonly byStatus: Map<number, number>
  tries: number
  retries: number
}

/** Requests by route, method and status, and how long they took. Labels are put together when Prometheus asks. */
export class RequestTally {
  /** By route, then by method. */
  readonly #tallies = new Map<string, Map<string, Tally>>()
  readonly #seconds: BucketHistogram

  constructor(registry: Registry) {
    const registers = [registry]
    const tallies = (): Generator<Tally> => this.#all()
    new Counter({
      name: 'infernet_gateway_requests_total',
      help: 'Requests answered, by route, method and HTTP status (0: the client left)',
      labelNames: ['route', 'method', 'status'],
      registers,
      collect(): void {
        for (const { route, method, byStatus } of tallies()) {
          for (const [status, count] of byStatus) this.inc({ route, method, status }, count)
          byStatus.clear()
        }
      },
    })
    this.#seconds = new BucketHistogram({
      name: 'infernet_gateway_request_seconds',
      help: 'Time from the head of a request to the end of its answer, by route and method',
      bounds: SECONDS_BUCKETS,
      registry,
    })
    new Counter({
      name: 'infernet_gateway_tries_total',
      help: 'Backends that were asked for clients, by route',
      labelNames: ['route'],
      registers,
      collect(): void {
        for (const tally of tallies()) this.inc({ route: tally.route }, take(tally, 'tries'))
      },
    })
    new Counter({
      name: 'infernet_gateway_retries_total',
      help: 'Those of them that were asked because another had failed or refused the same request, by route',
      labelNames: ['route'],
      registers,
      collect(): void {
        for (const tally of tallies()) this.inc({ route: tally.route }, take(tally, 'retries'))
      },
    })
  }

  count({ route, method }: Asked, { status, seconds, tries, retries }: Answered): void {
    const tally = this.#tallies.get(route)?.get(method) ?? this.#add(route, method)
    tally.buckets.observe(seconds)
    tally.byStatus.set(status, (tally.byStatus.get(status) ?? 0) + 1)
    tally.tries += tries
    tally.retries += retries
  }

  #add(route: string, method: string): Tally {
    const buckets = this.#seconds.add({ route, method })
    const tally: Tally = { route, method, buckets, byStatus: new Map(), tries: 0, retries: 0 }
    const byMethod = this.#tallies.get(route) ?? new Map<string, Tally>()
    byMethod.set(method, tally)
    this.#tallies.set(route, byMethod)
    return tally
  }

  *#all(): Generator<Tally> {
    for (const byMethod of this.#tallies.values()) yield* byMethod.values()
  }
}

/** The count since it was taken last. */
function take(tally: Tally, what: 'tries' | 'retries'): number {
  const count = tally[what]
  tally[what] = 0
  return count
}
