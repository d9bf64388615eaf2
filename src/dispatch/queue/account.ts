import { FadingSum, RefusedRatio } from './fading.ts'

/** With each request that ends, this part of what was known of a caller's requests is left. */
const MEMORY = 0.9
/** The mean request of all callers counts as this many of its own. */
const PRIOR_REQUESTS = 2
/** What the loss ratio moves with each request. */
const LOSS_STEP = 0.1
/** Over how long recent work is counted, seconds. */
const RECENT_SECONDS = 60

/** One caller in one pool. */
export class Account {
  /** What limits count it under: its name, or address. */
  readonly caller: string
  readonly #weightOf: (caller: string) => number
  /** Work over weight that it has had, besides what it lost for not waiting meanwhile. */
  virtualWork = 0
  /** Requests that wait here, of all priorities. */
  waiting = 0
  /** Requests of it that backends work on. */
  running = 0
  /** Part of its requests that left or timed out before they were done. */
  lossRatio = 0
  /** Until when refused requests were told to stay away, monotonic seconds. */
  bookedUntil = -Infinity
  /** What its pool counts of it while it waits. */
  countedWeight = 0
  readonly recent = new FadingSum(RECENT_SECONDS)
  readonly refused = new RefusedRatio()
  #work = 0
  #requests = 0

  constructor(caller: string, weightOf: (caller: string) => number) {
    this.caller = caller
    this.#weightOf = weightOf
  }

  /** As it is set now. */
  get weight(): number {
    return this.#weightOf(this.caller)
  }

  /** Work that its next request is likely to take, given the mean of all callers. */
  meanWork(mean: number): number {
    return (this.#work + PRIOR_REQUESTS * mean) / (this.#requests + PRIOR_REQUESTS)
  }

  /** A request of it took this much work. */
  done(work: number, now: number): void {
    this.#work = this.#work * MEMORY + work
    this.#requests = this.#requests * MEMORY + 1
    this.recent.add(work, now)
  }

  /** One of its requests was lost, or was done after all. */
  concluded(isLost: boolean): void {
    this.lossRatio += LOSS_STEP * (Number(isLost) - this.lossRatio)
  }
}
