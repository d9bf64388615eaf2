/** The plain mean of the first values, then an exponential one with a memory of about `memory` values. */
export class RunningMean {
  readonly #memory: number
  #count = 0
  #mean = 0

  constructor(memory: number) {
    this.#memory = memory
  }

  /** Undefined until a value was added. */
  get value(): number | undefined {
    return this.#count === 0 ? undefined : this.#mean
  }

  add(value: number): void {
    if (this.#count < this.#memory) this.#count++
    this.#mean += (value - this.#mean) / this.#count
  }
}
