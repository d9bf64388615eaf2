import type { Served } from '../../openai/forward.ts'
import { CountedRows, cutName } from './countedRows.ts'
import { bucketOf, LATENCY_BUCKETS } from './latencies.ts'

/** Rows of the table; further pairs of a service and a model count as others. */
const MOST_ROWS = 200

/** The counters of a row, in order; behind them those of the times to the first token. */
const COUNTERS = ['prompt_tokens', 'cached_tokens', 'warm', 'cold'] as const
type Counter = (typeof COUNTERS)[number]
const INDEX = Object.fromEntries(COUNTERS.map((name, index) => [name, index])) as Record<Counter, number>
const FIRST_TOKEN = COUNTERS.length
const SHAPE = { periods: 15, seconds: 60, width: FIRST_TOKEN + LATENCY_BUCKETS }

/** Between the names of a service and a model: no name of a service has one. */
const SEPARATOR = '\n'

/** What caches did in the last 15 minutes, in a form that adds up over processes. */
export interface RawCaches extends Readonly<Record<Counter, number>> {
  /** Times to the first token of streams, by bucket. */
  readonly first_token: readonly number[]
}

/** The same of one model at one service; both null: of all others together. */
export interface RawCacheRow extends RawCaches {
  readonly service: string | null
  readonly model: string | null
}

/** How the prompt caches of services were used in the last 15 minutes, by service and model. */
export class CacheTable {
  readonly #rows = new CountedRows(MOST_ROWS, SHAPE)
  readonly #names = new RowNames()

  /**
   * Counts a request that a service answered well: its prompt tokens where the answer told how many were cached, whether the
   * service was believed to be warm, and the time to the first token of a stream.
   */
  count({ service, model, usage, isWarm, firstTokenSeconds }: Served, now: number): void {
    const cached = usage?.cachedTokens
    if (cached === undefined && isWarm === undefined && firstTokenSeconds === undefined) return
    const row = this.#rows.of(this.#names.of(service, model), true, now)
    if (!row) return
    const at = row.at(now)
    const { counts } = row
    if (usage && cached !== undefined) {
      counts[at + INDEX.prompt_tokens]! += usage.promptTokens
      counts[at + INDEX.cached_tokens]! += cached
    }
    if (isWarm !== undefined) counts[at + (isWarm ? INDEX.warm : INDEX.cold)]!++
    if (firstTokenSeconds !== undefined) counts[at + FIRST_TOKEN + bucketOf(firstTokenSeconds)]!++
  }

  /** The rows that counted anything, and the others. */
  raw(now: number): RawCacheRow[] {
    return this.#rows.sums(now).map(([name, sums]) => {
      const at = name === null ? -1 : name.indexOf(SEPARATOR)
      const [service, model] = name === null ? [null, null] : [name.slice(0, at), name.slice(at + 1)]
      const counts = Object.fromEntries(COUNTERS.map((counter, index) => [counter, sums[index] as number]))
      const firstToken = Array.from(sums.subarray(FIRST_TOKEN))
      return { service, model, ...(counts as Record<Counter, number>), first_token: firstToken }
    })
  }
}

/** The names of rows. They are kept, since a text that has just been put together takes long to look up. */
class RowNames {
  /** By service, then by model. */
  readonly #services = new Map<string, Map<string, string>>()
  #size = 0

  of(service: string, model: string): string {
    return this.#services.get(service)?.get(model) ?? this.#add(service, model)
  }

  #add(service: string, model: string): string {
    const cut = cutName(model)
    const name = service + SEPARATOR + cut
    // Few models have such long names.
    if (cut !== model) return name
    if (this.#size++ >= MOST_ROWS) {
      this.#services.clear()
      this.#size = 1
    }
    const models = this.#services.get(service) ?? new Map<string, string>()
    this.#services.set(service, models.set(model, name))
    return name
  }
}

/** Rows of several processes may be more than one table has: the busiest stay, the last one is of all others. */
export function boundedCacheRows(rows: readonly RawCacheRow[]): RawCacheRow[] {
  const named = rows.filter(({ service }) => service !== null).sort((a, b) => b.warm + b.cold - a.warm - a.cold)
  const rest = [...named.slice(MOST_ROWS), ...rows.filter(({ service }) => service === null)]
  const kept = named.slice(0, MOST_ROWS)
  return rest.length === 0 ? kept : [...kept, { ...rest.reduce(sumOf), service: null, model: null }]
}

/** What several rows tell together, by the member that they are grouped by. */
export function cachesBy(member: 'service' | 'model', rows: readonly RawCacheRow[]): Map<string, RawCaches> {
  const groups = new Map<string, RawCacheRow>()
  for (const row of rows) {
    const name = row[member]
    if (name === null) continue
    const group = groups.get(name)
    groups.set(name, group ? sumOf(group, row) : row)
  }
  return groups
}

function sumOf(one: RawCacheRow, other: RawCacheRow): RawCacheRow {
  const counts = Object.fromEntries(COUNTERS.map((counter) => [counter, one[counter] + other[counter]]))
  const firstToken = one.first_token.map((count, bucket) => count + (other.first_token[bucket] ?? 0))
  return { ...one, ...(counts as Record<Counter, number>), first_token: firstToken }
}
