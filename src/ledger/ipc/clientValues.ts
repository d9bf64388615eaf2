import { keptBytesOf, type KeptValues } from '../keptValues.ts'
import { bufferOf } from '../sqlite/columns.ts'
import type { Calls } from './calls.ts'

/** Values of the primary's ledger. */
export class ClientValues implements KeptValues {
  readonly #calls: Calls

  constructor(calls: Calls) {
    this.#calls = calls
  }

  async get(name: string): Promise<Buffer | undefined> {
    const bytes = await this.#calls.call('keptValue', [name])
    return bytes ? bufferOf(bytes) : undefined
  }

  async set(name: string, value: Buffer | string): Promise<void> {
    await this.#calls.call('setKeptValue', [name, keptBytesOf(value)])
  }

  async delete(name: string): Promise<void> {
    await this.#calls.call('deleteKeptValue', [name])
  }

  async replace(name: string, expected: Buffer | undefined, value: Buffer | string): Promise<boolean> {
    return this.#calls.call('replaceKeptValue', [name, expected ?? null, keptBytesOf(value)])
  }

  names(): Promise<string[]> {
    return this.#calls.call('keptValueNames', [])
  }
}
