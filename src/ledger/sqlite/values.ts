import { keptBytesOf, type KeptValues } from '../keptValues.ts'
import { bufferOf } from './columns.ts'
import type { CallStore } from './wire.ts'

/** Values in the table `kept_values`. */
export class SqliteValues implements KeptValues {
  readonly #call: CallStore

  constructor(call: CallStore) {
    this.#call = call
  }

  async get(name: string): Promise<Buffer | undefined> {
    const bytes = await this.#call('keptValue', name)
    return bytes ? bufferOf(bytes) : undefined
  }

  async set(name: string, value: Buffer | string): Promise<void> {
    await this.#call('setKeptValue', name, keptBytesOf(value))
  }

  async delete(name: string): Promise<void> {
    await this.#call('deleteKeptValue', name)
  }

  async replace(name: string, expected: Buffer | undefined, value: Buffer | string): Promise<boolean> {
    return this.#call('replaceKeptValue', name, expected ?? null, keptBytesOf(value))
  }

  names(): Promise<string[]> {
    return this.#call('keptValueNames')
  }
}
