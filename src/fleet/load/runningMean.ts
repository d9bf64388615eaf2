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

  /** Drawn to a prior that counts for `weight` values: the prior until a value was added. */
  drawnTo(prior: number, weight: number): number {
    return (this.#count * this.#mean + weight * prior) / (this.#count + weight)
  }

  add(value: number): void {
    if (this.#count < this.#memory) this.#count++
    this.#mean += (value - this.#mean) / this.#count
  }
}
