import type { PolicyConstants } from './constants.ts'

/** How much a node failed of late: 0 never, 1 always. It fades by itself. */
export class FailureLevel {
  readonly #constants: PolicyConstants
  #level = 0
  #at = 0

  constructor(constants: PolicyConstants) {
    this.#constants = constants
  }

  value(now: number): number {
    return this.#level === 0 ? 0 : this.#level * Math.exp((this.#at - now) / this.#constants.failureMemorySeconds)
  }

  succeeded(now: number): void {
    if (this.#level > 0) this.#observe(0, now)
  }

  failed(now: number): void {
    this.#observe(1, now)
  }

  #observe(outcome: 0 | 1, now: number): void {
    const level = this.value(now)
    this.#level = level + this.#constants.failureGainRatio * (outcome - level)
    this.#at = now
  }
}
