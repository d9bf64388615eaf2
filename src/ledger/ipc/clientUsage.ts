import { usageOfValues, valuesOfUsage } from '../usage/rows.ts'
import type { UsageBatch, UsageRow, UsageStore } from '../usage/usage.ts'
import type { Calls } from './calls.ts'

/** Usage in the primary's ledger. */
export class ClientUsage implements UsageStore {
  readonly #calls: Calls

  constructor(calls: Calls) {
    this.#calls = calls
  }

  async add({ writer, number, rows }: UsageBatch): Promise<void> {
    await this.#calls.call('addUsage', [writer, number, rows.map(valuesOfUsage)])
  }

  async read(day: number): Promise<UsageRow[]> {
    return (await this.#calls.call('usageOf', [day])).map(usageOfValues)
  }
}
