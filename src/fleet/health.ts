/** Failures in a row after which a healthy node counts as unhealthy. */
const FLIP_DOWN_AFTER = 3
/** Successes in a row after which an unhealthy node that was up before counts as healthy again. */
const FLIP_UP_AFTER = 2

/** Up or down by consecutive evidence, so that one lost packet changes nothing. Starts down, and the first success of all is enough. */
export class Health {
  #healthy = false
  #everHealthy = false
  #against = 0

  get isHealthy(): boolean {
    return this.#healthy
  }

  /** True when the next observation of that kind would flip the state: worth asking again soon. */
  get isWavering(): boolean {
    return this.#against > 0
  }

  /** Takes one piece of evidence. Returns true only when the state flips. */
  observe(ok: boolean): boolean {
    if (ok === this.#healthy) {
      this.#against = 0
      return false
    }
    this.#against++
    if (this.#against < this.#needed(ok)) return false
    this.#healthy = ok
    this.#everHealthy ||= ok
    this.#against = 0
    return true
  }

  #needed(ok: boolean): number {
    if (!ok) return FLIP_DOWN_AFTER
    return this.#everHealthy ? FLIP_UP_AFTER : 1
  }
}

/** Failed contacts in a row, and how far apart the first and the last must lie, before a node counts as dead. */
const DEAD_AFTER_CONTACTS = 3
const DEAD_AFTER_SECONDS = 2

/** Whether anything at all answers at an address: the ground on which jobs are run again elsewhere. */
export class Contact {
  #failures = 0
  #firstFailureAt = 0
  #lastFailureAt = 0

  answered(): void {
    this.#failures = 0
  }

  failed(now: number): void {
    if (this.#failures === 0) this.#firstFailureAt = now
    this.#failures++
    this.#lastFailureAt = now
  }

  get isFailing(): boolean {
    return this.#failures > 0
  }

  /** Since when, monotonic seconds; undefined while it does not fail. */
  get failingSince(): number | undefined {
    return this.isFailing ? this.#firstFailureAt : undefined
  }

  get isDead(): boolean {
    return this.#failures >= DEAD_AFTER_CONTACTS && this.#lastFailureAt - this.#firstFailureAt >= DEAD_AFTER_SECONDS
  }
}
