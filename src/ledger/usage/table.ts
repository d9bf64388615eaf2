import { newUsageRow, OTHER_USAGE, type UsageCounts, type UsageRow } from './usage.ts'

type Counts = { -readonly [Name in keyof UsageCounts]: number }

/** The usage of one day in memory, in a bounded number of rows. */
export class UsageTable {
  readonly #callers = new Map<string, Map<string, Counts>>()
  readonly #rowsElsewhere: () => number
  #size = 0

  /** `rowsElsewhere`: rows of other tables that the bound is meant for as well. */
  constructor(rowsElsewhere: () => number = () => 0) {
    this.#rowsElsewhere = rowsElsewhere
  }

  /** Rows. */
  get size(): number {
    return this.#size
  }

  add(caller: string, model: string, added: UsageCounts): void {
    const counts = this.#callers.get(caller)?.get(model) ?? this.#newCounts(caller, model)
    counts.requests += added.requests
    counts.promptTokens += added.promptTokens
    counts.completionTokens += added.completionTokens
    counts.cachedTokens += added.cachedTokens
  }

  rows(day: number): UsageRow[] {
    const rows: UsageRow[] = []
    for (const [caller, models] of this.#callers) {
      for (const [model, counts] of models) rows.push({ day, caller, model, ...counts })
    }
    return rows
  }

  #newCounts(caller: string, model: string): Counts {
    const models = this.#callers.get(caller)
    const sizes = { ofDay: this.#size + this.#rowsElsewhere(), ofCaller: models?.size ?? 0 }
    const place = newUsageRow(caller, model, sizes, () => models?.has(OTHER_USAGE) === true)
    return this.#countsAt(...place)
  }

  #countsAt(caller: string, model: string): Counts {
    let models = this.#callers.get(caller)
    if (!models) this.#callers.set(caller, (models = new Map<string, Counts>()))
    let counts = models.get(model)
    if (!counts) {
      counts = { requests: 0, promptTokens: 0, completionTokens: 0, cachedTokens: 0 }
      models.set(model, counts)
      this.#size++
    }
    return counts
  }
}
