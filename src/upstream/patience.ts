/** How long a request waits for a backend that takes no connections, since it probably restarts. Seconds. */
const RESTART_WAIT_SECONDS = 2

/** How much longer requests wait: those that share it wait at the same time. It begins to run when it is first asked. */
export class Patience {
  #endsAt: number | undefined

  /** @param now monotonic seconds */
  secondsLeft(now: number): number {
    this.#endsAt ??= now + RESTART_WAIT_SECONDS
    return Math.max(0, this.#endsAt - now)
  }
}
