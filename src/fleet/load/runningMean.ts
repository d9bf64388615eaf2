import type { Row } from './rows.ts'

/** The plain mean of the first values, then an exponential one with a memory of about `memory` values. */
export class RunningMean {
  readonly #memory: number
  #count = 0
  #mean = 0

  constructor(memory: number) {
    this.#memory = memory
  }

  /** How many values it counts for, and the mean. */
  get row(): Row {
    return [this.#count, this.#mean]
  }

  /** Goes on from what was kept, which counts for `weight` (0 to 1) of what it did. */
  takeUp([count = 0, mean = 0]: Row, weight: number): void {
    this.#count = Math.min(Math.max(0, count), this.#memory) * weight
    this.#mean = Math.max(0, mean)
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
    this.#count = Math.min(this.#count + 1, this.#memory)
    this.#mean += (value - this.#mean) / this.#count
  }
}
