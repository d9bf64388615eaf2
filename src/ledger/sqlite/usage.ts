import { usageOfValues, valuesOfUsage } from '../usage/rows.ts'
import type { UsageBatch, UsageRow, UsageStore } from '../usage/usage.ts'
import type { CallStore } from './wire.ts'

/** Usage in the table `usage`. A batch whose addition is rejected was not added, so that it may be added again. */
export class SqliteUsage implements UsageStore {
  readonly #call: CallStore

  constructor(call: CallStore) {
    this.#call = call
  }

  async add({ rows }: UsageBatch): Promise<void> {
    await this.#call('addUsage', rows.map(valuesOfUsage))
  }

  async read(day: number): Promise<UsageRow[]> {
    return (await this.#call('usageOf', day)).map(usageOfValues)
  }
}
