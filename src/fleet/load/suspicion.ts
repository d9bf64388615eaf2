import type { PolicyConstants } from './constants.ts'

/** Suspects a node of being a black hole for two-step clients: it is sent jobs, answers polls, and never has any.
 * A suspect gets next to no look-ups and so cannot prove its innocence: it is let off after a while, and for longer
 * each time that it is caught again. */
export class Suspicion {
  readonly #constants: PolicyConstants
  #emptyPolls = 0
  #shunnedUntil = -Infinity
  #shunnedSeconds = 0

  constructor(constants: PolicyConstants) {
    this.#constants = constants
  }

  /** Empty polls in a row that should have shown a job, each counted by how sure that was. */
  get level(): number {
    return this.#emptyPolls
  }

  isBlackHole(now: number): boolean {
    return now < this.#shunnedUntil
  }

  /** @param unseenJobs what would have been predicted just before the poll */
  polled(now: number, pending: number, lookups: number, unseenJobs: number): void {
    if (pending > 0) {
      this.clear()
      return
    }
    if (lookups === 0 || unseenJobs < 1 || this.isBlackHole(now)) return
    this.#emptyPolls += Math.min(1, unseenJobs / this.#constants.suspicionFullJobs)
    if (this.#emptyPolls >= this.#constants.suspicionLimitPolls) this.#shun(now)
  }

  /** A job was done there. */
  clear(): void {
    this.#emptyPolls = 0
    this.#shunnedSeconds = 0
    this.#shunnedUntil = -Infinity
  }

  #shun(now: number): void {
    const { firstShunSeconds, longestShunSeconds, suspicionLimitPolls } = this.#constants
    this.#shunnedSeconds =
      this.#shunnedSeconds === 0 ? firstShunSeconds : Math.min(2 * this.#shunnedSeconds, longestShunSeconds)
    this.#shunnedUntil = now + this.#shunnedSeconds
    // One more empty poll after that is enough.
    this.#emptyPolls = suspicionLimitPolls - 1
  }
}
