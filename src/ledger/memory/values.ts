import { keptBytesOf, type KeptValues } from '../keptValues.ts'

/** Values in this process: they end with it. */
export class MemoryValues implements KeptValues {
  readonly #values = new Map<string, Buffer>()
  readonly #refuseIfClosed: () => void

  /** `refuseIfClosed` throws once the ledger is closed. */
  constructor(refuseIfClosed: () => void) {
    this.#refuseIfClosed = refuseIfClosed
  }

  async get(name: string): Promise<Buffer | undefined> {
    this.#refuseIfClosed()
    return this.#values.get(name)
  }

  async set(name: string, value: Buffer | string): Promise<void> {
    this.#refuseIfClosed()
    this.#values.set(name, keptBytesOf(value))
  }

  async delete(name: string): Promise<void> {
    this.#refuseIfClosed()
    this.#values.delete(name)
  }

  async replace(name: string, expected: Buffer | undefined, value: Buffer | string): Promise<boolean> {
    this.#refuseIfClosed()
    const bytes = keptBytesOf(value)
    const standing = this.#values.get(name)
    const isExpected = expected ? standing?.equals(expected) === true : standing === undefined
    if (isExpected) this.#values.set(name, bytes)
    return isExpected
  }

  async names(): Promise<string[]> {
    this.#refuseIfClosed()
    return [...this.#values.keys()]
  }
}
