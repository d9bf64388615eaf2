import { steadyClock } from '../../base/steadyClock.ts'
import { UsageTable } from '../usage/table.ts'
import { firstUsageDay, type UsageBatch, type UsageRow, type UsageStore } from '../usage/usage.ts'

/** Rows of all days, some 200 bytes each; the oldest days give way. */
const MOST_ROWS = 100_000

/** Usage in this process: it ends with it. */
export class MemoryUsage implements UsageStore {
  readonly #days = new Map<number, UsageTable>()
  readonly #refuseIfClosed: () => void

  /** `refuseIfClosed` throws once the ledger is closed. */
  constructor(refuseIfClosed: () => void) {
    this.#refuseIfClosed = refuseIfClosed
  }

  async add({ rows }: UsageBatch): Promise<void> {
    this.#refuseIfClosed()
    for (const { day, caller, model, ...counts } of rows) {
      let table = this.#days.get(day)
      if (!table) this.#days.set(day, (table = new UsageTable()))
      table.add(caller, model, counts)
    }
    this.#prune()
  }

  async read(day: number): Promise<UsageRow[]> {
    this.#refuseIfClosed()
    return this.#days.get(day)?.rows(day) ?? []
  }

  #prune(): void {
    const first = firstUsageDay(steadyClock.expiryMs())
    let rows = 0
    for (const day of [...this.#days.keys()].sort((a, b) => b - a)) {
      rows += this.#days.get(day)!.size
      if (day < first || (rows > MOST_ROWS && this.#days.size > 1)) this.#days.delete(day)
    }
  }
}
