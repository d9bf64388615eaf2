/**
 * How much longer a request waits for backends that are away: all its waits together are bounded. Requests that share it wait at the same
 * time, which counts once.
 */
export class Patience {
  #secondsLeft: number
  /** Waits that are under way, and when the first of them began. */
  #waits = 0
  #startedAt = 0

  constructor(seconds: number) {
    this.#secondsLeft = seconds
  }

  /** @param now monotonic seconds */
  secondsLeft(now: number): number {
    const spent = this.#waits > 0 ? now - this.#startedAt : 0
    return Math.max(0, this.#secondsLeft - spent)
  }

  /** A wait begins. */
  began(now: number): void {
    if (this.#waits++ === 0) this.#startedAt = now
  }

  /** It has ended. */
  ended(now: number): void {
    const left = this.secondsLeft(now)
    if (--this.#waits === 0) this.#secondsLeft = left
  }
}
