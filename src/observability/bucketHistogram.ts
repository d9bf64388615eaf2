import type { Metric, Registry } from 'prom-client'

/** How many values fell between two bounds, and their sum. */
export class Buckets {
  /** The last one is for what is above all bounds. */
  readonly counts: number[]
  sum = 0
  readonly #bounds: readonly number[]

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds
    this.counts = new Array<number>(bounds.length + 1).fill(0)
  }

  observe(value: number): void {
    const bounds = this.#bounds
    let at = 0
    while (at < bounds.length && value > (bounds[at] as number)) at++
    this.counts[at]!++
    this.sum += value
  }
}

export interface BucketHistogramOptions {
  readonly name: string
  readonly help: string
  /** Upper bounds, rising. */
  readonly bounds: readonly number[]
  readonly registry: Registry
  /** Called before the histogram is read. */
  readonly collect?: () => void
}

interface Sample {
  readonly metricName: string
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
}

/**
 * A histogram as a registry of prom-client reads it. prom-client's own validates and hashes the labels of every value, which
 * takes longer than all else that is counted of a request; here whoever observes keeps the buckets of its labels.
 */
export class BucketHistogram {
  readonly name: string
  readonly help: string
  readonly type = 'histogram'
  readonly aggregator = 'sum'
  readonly #bounds: readonly number[]
  readonly #collect: (() => void) | undefined
  readonly #series: { readonly labels: Readonly<Record<string, string>>; readonly buckets: Buckets }[] = []

  constructor({ name, help, bounds, registry, collect }: BucketHistogramOptions) {
    this.name = name
    this.help = help
    this.#bounds = bounds
    this.#collect = collect
    // All that a registry calls is `get`.
    registry.registerMetric(this as unknown as Metric)
  }

  /** The buckets of one more series: to be called once for the same labels. */
  add(labels: Readonly<Record<string, string>> = {}): Buckets {
    const buckets = new Buckets(this.#bounds)
    this.#series.push({ labels, buckets })
    return buckets
  }

  /** @internal What a registry asks for. */
  get(): Pick<this, 'name' | 'help' | 'type' | 'aggregator'> & { values: Sample[] } {
    this.#collect?.()
    const { name, help, type, aggregator } = this
    return { name, help, type, aggregator, values: [...this.#samples()] }
  }

  *#samples(): Generator<Sample> {
    const { name } = this
    for (const { labels, buckets } of this.#series) {
      let total = 0
      for (const [at, count] of buckets.counts.entries()) {
        total += count
        yield { metricName: `${name}_bucket`, labels: { le: this.#bounds[at] ?? '+Inf', ...labels }, value: total }
      }
      yield { metricName: `${name}_sum`, labels, value: buckets.sum }
      yield { metricName: `${name}_count`, labels, value: total }
    }
  }
}
