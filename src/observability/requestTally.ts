import { Counter, type Registry } from 'prom-client'
import { BucketHistogram, type Buckets } from './bucketHistogram.ts'
import { SECONDS_BUCKETS } from './secondsBuckets.ts'

/** Requests of one route. */
interface RouteTally {
  readonly seconds: Buckets
  /** Requests since the counter was last brought up to date, by method and status. */
  readonly counts: Map<string, Map<number, number>>
}

/** Requests by route, method and status, and how long they took. Labels are put together when Prometheus asks. */
export class RequestTally {
  readonly #routes = new Map<string, RouteTally>()
  readonly #seconds: BucketHistogram

  constructor(registry: Registry) {
    const bringUpToDate = (counter: Counter<'route' | 'method' | 'status'>): void => this.#moveTo(counter)
    new Counter({
      name: 'infernet_gateway_requests_total',
      help: 'Requests answered, by route, method and HTTP status (0: the client left)',
      labelNames: ['route', 'method', 'status'],
      registers: [registry],
      collect(): void {
        bringUpToDate(this)
      },
    })
    this.#seconds = new BucketHistogram({
      name: 'infernet_gateway_request_seconds',
      help: 'Time from the head of a request to the end of its answer, by route',
      bounds: SECONDS_BUCKETS,
      registry,
    })
  }

  count(route: string, method: string, status: number, seconds: number): void {
    const tally = this.#routes.get(route) ?? this.#addRoute(route)
    tally.seconds.observe(seconds)
    const byStatus = tally.counts.get(method) ?? new Map<number, number>()
    byStatus.set(status, (byStatus.get(status) ?? 0) + 1)
    if (byStatus.size === 1) tally.counts.set(method, byStatus)
  }

  #addRoute(route: string): RouteTally {
    const tally: RouteTally = { seconds: this.#seconds.add({ route }), counts: new Map() }
    this.#routes.set(route, tally)
    return tally
  }

  #moveTo(counter: Counter<'route' | 'method' | 'status'>): void {
    for (const [route, { counts }] of this.#routes) {
      for (const [method, byStatus] of counts) {
        for (const [status, count] of byStatus) counter.inc({ route, method, status }, count)
        byStatus.clear()
      }
    }
  }
}
