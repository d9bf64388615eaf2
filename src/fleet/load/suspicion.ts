import type { PolicyConstants } from './constants.ts'

/** Suspects a node of being a black hole for two-step clients: it is sent jobs, answers polls, and never has any. */
export class Suspicion {
  readonly #constants: PolicyConstants
  #polls = 0

  constructor(constants: PolicyConstants) {
    this.#constants = constants
  }

  /** Empty polls that should have shown a job, each counted by how sure that was. */
  get level(): number {
    return this.#polls
  }

  get isBlackHole(): boolean {
    return this.#polls >= this.#constants.suspicionLimitPolls
  }

  /** `unseenJobs` is what the gateway would have predicted just before the poll. */
  polled(pending: number, lookups: number, unseenJobs: number): void {
    if (pending > 0) this.clear()
    else if (lookups > 0 && unseenJobs >= 1) {
      this.#polls += Math.min(1, unseenJobs / this.#constants.suspicionFullJobs)
    }
  }

  clear(): void {
    this.#polls = 0
  }
}
