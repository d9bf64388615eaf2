/** How far back requests and retries are counted, in slots of a second. */
const WINDOW_SECONDS = 10
/** Retries that are always allowed within the window. */
const MIN_RETRIES = 10
/** Beyond that, retries for each request. */
const RETRY_RATIO = 0.2

/**
 * Bounds retries of requests that may have been run already, so that an outage of backends does not double their load: within
 * ten seconds one for each five requests, and at least ten.
 */
export class RetryBudget {
  readonly #now: () => number
  readonly #requests = new Uint32Array(WINDOW_SECONDS)
  readonly #retries = new Uint32Array(WINDOW_SECONDS)
  /** The second that counts are of, the last of the window. */
  #second: number

  /** @param now monotonic seconds */
  constructor(now: () => number = () => performance.now() / 1000) {
    this.#now = now
    this.#second = Math.floor(now())
  }

  /** Counts a request, once however often it is tried. */
  requested(): void {
    this.#requests[this.#slot()]!++
  }

  /** Takes room for one retry; false where there is none. */
  take(): boolean {
    const slot = this.#slot()
    if (sum(this.#retries) + 1 > Math.max(MIN_RETRIES, RETRY_RATIO * sum(this.#requests))) return false
    this.#retries[slot]!++
    return true
  }

  #slot(): number {
    const second = Math.floor(this.#now())
    const oldest = Math.max(this.#second + 1, second - WINDOW_SECONDS + 1)
    for (let passed = oldest; passed <= second; passed++) {
      this.#requests[passed % WINDOW_SECONDS] = 0
      this.#retries[passed % WINDOW_SECONDS] = 0
    }
    this.#second = second
    return second % WINDOW_SECONDS
  }
}

function sum(counts: Uint32Array): number {
  let total = 0
  for (const count of counts) total += count
  return total
}
