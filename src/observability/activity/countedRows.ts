import { PeriodCounts } from './periods.ts'

/** Longest name of a row, characters. */
const MOST_NAME = 200

/** The shape of each row's counters: see `PeriodCounts`. */
interface Shape {
  readonly periods: number
  readonly seconds: number
  readonly width: number
}

interface Row {
  readonly counts: PeriodCounts
  /** When it last counted something, seconds. */
  usedAt: number
}

/** Counters of the last minutes by name, of a bounded number: when there are too many, the one that has been idle for longest joins the others. */
export class CountedRows {
  readonly #most: number
  readonly #shape: Shape
  readonly #rows = new Map<string, Row>()
  readonly #others: PeriodCounts

  constructor(most: number, shape: Shape) {
    this.#most = most
    this.#shape = shape
    this.#others = new PeriodCounts(shape)
  }

  /** The counters of a name; undefined where it has none and may make no row. */
  of(name: string, isNew: boolean, now: number): PeriodCounts | undefined {
    const row = this.#rows.get(name) ?? (isNew ? this.#open(name, now) : undefined)
    if (!row) return undefined
    row.usedAt = now
    return row.counts
  }

  /** The sums of all rows that counted anything, by name; null: those of all others together. */
  sums(now: number): [name: string | null, sums: Float64Array][] {
    const rows: [string | null, Float64Array][] = []
    for (const [name, { counts }] of this.#rows) {
      const sums = counts.sums(now)
      if (hasCounts(sums)) rows.push([name, sums])
      else this.#rows.delete(name)
    }
    const others = this.#others.sums(now)
    return hasCounts(others) ? [...rows, [null, others]] : rows
  }

  #open(name: string, now: number): Row {
    const counts = this.#rows.size < this.#most ? new PeriodCounts(this.#shape) : this.#closeIdlest(now)
    const row = { counts, usedAt: now }
    this.#rows.set(name, row)
    return row
  }

  /** Gives up the row that has been idle for longest; returns its counters, which are 0. */
  #closeIdlest(now: number): PeriodCounts {
    let idlest: readonly [string, Row] | undefined
    for (const entry of this.#rows) if (!idlest || entry[1].usedAt < idlest[1].usedAt) idlest = entry
    const [name, { counts }] = idlest as readonly [string, Row]
    this.#rows.delete(name)
    counts.moveTo(this.#others, now)
    return counts
  }
}

/** A name that is short enough for a row. */
export function cutName(name: string): string {
  return name.length > MOST_NAME ? `${name.slice(0, MOST_NAME)}…` : name
}

function hasCounts(sums: Float64Array): boolean {
  return sums.some((sum) => sum > 0)
}
