import type { RequestContext } from '../../http/context.ts'
import { bucketOf, LATENCY_BUCKETS } from './latencies.ts'
import { OUTCOMES, type Outcome } from './outcome.ts'
import { CountedRows, cutName } from './countedRows.ts'

/** Rows of a table; what is asked for beyond them counts as others. */
const MOST_ROWS = 100

/** The counters of a row, in order; behind them those of the times to the first byte. */
const COUNTERS = [
  ...OUTCOMES,
  'prompt_tokens',
  'completion_tokens',
  'jobs_succeeded',
  'jobs_failed',
  'jobs_rerun',
] as const
type Counter = (typeof COUNTERS)[number]
const INDEX = Object.fromEntries(COUNTERS.map((name, index) => [name, index])) as Record<Counter, number>
const FIRST_BYTE = COUNTERS.length
const SHAPE = { periods: 15, seconds: 60, width: FIRST_BYTE + LATENCY_BUCKETS }

/** What a table tells of one model or container over the last 15 minutes, in a form that adds up over processes. */
export interface RawRow extends Readonly<Record<Counter, number>> {
  /** Null: all others together. */
  readonly name: string | null
  /** Times to the first byte, by bucket. */
  readonly first_byte: readonly number[]
}

interface Addition {
  readonly counter: Counter
  readonly amount: number
  /** Whether a name without a row gets one. */
  readonly isNew: boolean
}

/** What was asked for by name in the last 15 minutes: models or containers. Clients make names up, so rows are bounded. */
export class WorkTable {
  readonly #rows = new CountedRows(MOST_ROWS, SHAPE)

  /** Counts a request that has ended. */
  answered(name: string, outcome: Outcome, { node, firstByteSeconds }: RequestContext, now: number): void {
    // A name that no backend knows is the client's own, and makes no row.
    const row = this.#rows.of(cutName(name), node !== undefined || outcome === 'failed', now)
    if (!row) return
    const at = row.at(now)
    const { counts } = row
    counts[at + INDEX[outcome]]!++
    if (firstByteSeconds !== undefined) counts[at + FIRST_BYTE + bucketOf(firstByteSeconds)]!++
  }

  /** Adds to a counter. `isNew`: it may make a row. */
  add(name: string, { counter, amount, isNew }: Addition, now: number): void {
    const row = this.#rows.of(cutName(name), isNew, now)
    if (row) row.counts[row.at(now) + INDEX[counter]]! += amount
  }

  /** The rows that counted anything, and the others. */
  raw(now: number): RawRow[] {
    return this.#rows.sums(now).map(([name, sums]) => rawRow(name, sums))
  }
}

/** Rows of several processes may be more than one table has: the busiest stay, the last one is of all others. */
export function boundedRows(rows: readonly RawRow[]): RawRow[] {
  const named = rows.filter(({ name }) => name !== null).sort((a, b) => requestsOf(b) - requestsOf(a))
  const rest = [...named.slice(MOST_ROWS), ...rows.filter(({ name }) => name === null)]
  const kept = named.slice(0, MOST_ROWS)
  return rest.length === 0 ? kept : [...kept, { ...rest.reduce(sumOf), name: null }]
}

/** Requests of a row, whatever became of them. */
export function requestsOf({ succeeded, refused, failed, left }: RawRow): number {
  return succeeded + refused + failed + left
}

function sumOf(one: RawRow, other: RawRow): RawRow {
  const counts = Object.fromEntries(COUNTERS.map((counter) => [counter, one[counter] + other[counter]]))
  const firstByte = one.first_byte.map((count, bucket) => count + (other.first_byte[bucket] ?? 0))
  return { name: one.name, ...(counts as Record<Counter, number>), first_byte: firstByte }
}

function rawRow(name: string | null, sums: Float64Array): RawRow {
  const counts = Object.fromEntries(COUNTERS.map((counter, index) => [counter, sums[index] as number]))
  return { name, ...(counts as Record<Counter, number>), first_byte: Array.from(sums.subarray(FIRST_BYTE)) }
}
