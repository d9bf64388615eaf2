import type { PolicyConstants } from './constants.ts'

/** Look-ups that a node was the first answer to since its last poll, and the wish to poll it early for them. */
export class Lookups {
  readonly #constants: PolicyConstants
  #count = 0
  #lastPollAt = -Infinity
  #wishedAt: number | undefined

  constructor(constants: PolicyConstants) {
    this.#constants = constants
  }

  get count(): number {
    return this.#count
  }

  get lastPollAt(): number {
    return this.#lastPollAt
  }

  /** When the node should be polled ahead of its turn; undefined when there is no need. */
  get earlyPollAt(): number | undefined {
    return this.#wishedAt
  }

  handedOut(now: number): void {
    this.#count++
    if (this.#count !== this.#constants.earlyPollLookups) return
    const { earlyPollDelaySeconds, shortestPollGapSeconds } = this.#constants
    this.#wishedAt = Math.max(now + earlyPollDelaySeconds, this.#lastPollAt + shortestPollGapSeconds)
  }

  polled(now: number): void {
    this.#count = 0
    this.#lastPollAt = now
    this.#wishedAt = undefined
  }
}
