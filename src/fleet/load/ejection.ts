import type { PolicyConstants } from './constants.ts'

/** Takes a node that failed several times in a row out for a while, then lets one request at a time try it. */
export class Ejection {
  readonly #constants: PolicyConstants
  #failuresInRow = 0
  /** Length of the ejection that is under way or being tried out; 0 while the node is trusted. */
  #seconds = 0
  #until = -Infinity
  #onTrial = false

  constructor(constants: PolicyConstants) {
    this.#constants = constants
  }

  /** When the ejection ends; undefined when there is none at `now`. */
  until(now: number): number | undefined {
    return this.isEjected(now) ? this.#until : undefined
  }

  isEjected(now: number): boolean {
    return now < this.#until
  }

  isHalfOpen(now: number): boolean {
    return this.#seconds > 0 && now >= this.#until
  }

  admits(now: number): boolean {
    return this.#seconds === 0 || (now >= this.#until && !this.#onTrial)
  }

  /** Whether the request that starts is the trial. */
  started(now: number): boolean {
    if (!this.isHalfOpen(now)) return false
    this.#onTrial = true
    return true
  }

  /** Whatever it proved: one that proved nothing, such as a pushback, makes room for the next. */
  trialEnded(): void {
    this.#onTrial = false
  }

  succeeded(): void {
    this.#failuresInRow = 0
    this.#seconds = 0
    this.#until = -Infinity
    this.#onTrial = false
  }

  failed(now: number): void {
    this.#onTrial = false
    this.#failuresInRow++
    // Requests that were under way when the node was ejected tell nothing new.
    if (this.isEjected(now)) return
    if (this.#seconds > 0 || this.#failuresInRow >= this.#constants.ejectAfterFailures) this.#eject(now)
  }

  #eject(now: number): void {
    const { firstEjectionSeconds, longestEjectionSeconds } = this.#constants
    this.#seconds = this.#seconds === 0 ? firstEjectionSeconds : Math.min(2 * this.#seconds, longestEjectionSeconds)
    this.#until = now + this.#seconds
  }
}
