/** A ratio of two quantities, such as seconds per character, by evidence that fades with each new piece of it. */
export class FadingRatio {
  readonly #memoryRatio: number
  #amount = 0
  #units = 0

  /** @param memoryRatio what is left of the evidence at the next piece of it, 0 to 1 */
  constructor(memoryRatio: number) {
    this.#memoryRatio = memoryRatio
  }

  get hasLearnt(): boolean {
    return this.#units > 0
  }

  observed(amount: number, units: number): void {
    this.#amount = this.#amount * this.#memoryRatio + amount
    this.#units = this.#units * this.#memoryRatio + units
  }

  /** The ratio, with a prior that counts for `weight` units; the prior alone where there is no evidence. */
  ratioWith(prior: number, weight: number): number {
    const units = this.#units + weight
    return units > 0 ? (this.#amount + weight * prior) / units : prior
  }
}
