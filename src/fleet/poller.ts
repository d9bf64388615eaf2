import { jittered } from './jitter.ts'
import { Semaphore } from '../base/semaphore.ts'
import type { TrackedNode } from './node.ts'
import { Pace } from './pace.ts'
import { CallBudget } from './politeness.ts'
import { isSilence, type Prober, type ProbeResult } from './probe.ts'

/** A node that failed is asked again after this long, then twice as long, up to the interval. Seconds. */
const FIRST_RETRY_SECONDS = 1
/** Traffic that failed brings the next poll forward to this far after the last one, seconds. */
const SOONEST_SECONDS = 0.5
/** Calls that are left for others; below this no poll is made ahead of time. */
const RESERVE_CALLS = 3
/** A poll that nobody answers that soon stands in nobody's way any longer, seconds. */
const HOLD_SECONDS = 1
const MOST_AT_ONCE = 128
const MOST_SILENT_AT_ONCE = 64

/**
 * Polls a second, for a poll costs up to a millisecond of the event loop: first those of nodes that answered last and of new
 * ones, then those of nodes that did not. Small fleets never wait, and ten thousand dead nodes take a tenth of a core.
 */
const POLLS_PER_SECOND = 250
const FAILED_POLLS_PER_SECOND = 100
const BURST = 500
const FAILED_BURST = 200

/** How many polls may run at once, and begin in a second; shared by all pollers. */
export class PollLimits {
  readonly answering = new Pace({ perSecond: POLLS_PER_SECOND, burst: BURST })
  readonly failing = new Pace({ perSecond: FAILED_POLLS_PER_SECOND, burst: FAILED_BURST })
  /** For nodes that answered last, and for new ones. */
  readonly prompt = new Semaphore(MOST_AT_ONCE, HOLD_SECONDS)
  /** For nodes whose last poll nobody answered: however many they are, they wait only for each other. */
  readonly silent = new Semaphore(MOST_SILENT_AT_ONCE, HOLD_SECONDS)
}

export interface PollerOptions {
  readonly intervalSeconds: number
  readonly prober: Prober
  readonly limits: PollLimits
  /** Monotonic seconds. */
  readonly now: () => number
  readonly onResult: (node: TrackedNode, result: ProbeResult, startedAt: number) => void
}

/** Polls one node for ever. The next poll is set when the last one has ended, so they never overlap. */
export class Poller {
  readonly #node: TrackedNode
  readonly #options: PollerOptions
  #timer: NodeJS.Timeout | undefined
  #dueAt = Infinity
  #lastEndedAt = -Infinity
  #failures = 0
  #polling = false
  #isSilent = false
  #pollAgain = false
  #stopped = false
  #budget = new CallBudget(RESERVE_CALLS)
  /** Resolves when the next poll, or the one that runs, has ended; undefined where nobody waits for it. */
  #ended: PromiseWithResolvers<void> | undefined

  constructor(node: TrackedNode, options: PollerOptions) {
    this.#node = node
    this.#options = options
  }

  start(): void {
    // It may have been taken out of the list before its turn came.
    if (!this.#stopped) this.#schedule(0)
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  /** Polls at once: what the last poll told holds no more. A poll that is under way is followed by another. */
  pollNow(): void {
    if (this.#polling) this.#pollAgain = true
    else if (!this.#stopped) this.#schedule(0)
  }

  /** Brings the next poll forward, as after failed traffic: still half a second after the last one at the soonest. */
  pollSoon(): void {
    this.pollBy(this.#lastEndedAt + Math.min(SOONEST_SECONDS, this.#options.intervalSeconds))
  }

  /** Brings the next poll forward to `at` (monotonic seconds), unless the node wants to be left alone. */
  pollBy(at: number): void {
    if (this.#polling || this.#stopped || at >= this.#dueAt || !this.#budget.hasSpareCalls) return
    this.#schedule(Math.max(at, this.#budget.notBefore) - this.#options.now())
  }

  /** The end of a poll that shows how the node is now; undefined where one ended that lately, or the node wants to be left alone. */
  fresh(maxAgeSeconds: number): Promise<void> | undefined {
    const now = this.#options.now()
    if (!this.#polling) {
      if (this.#stopped || now - this.#lastEndedAt < maxAgeSeconds) return undefined
      if (now < this.#budget.notBefore || !this.#budget.hasSpareCalls) return undefined
      this.pollBy(now)
    }
    this.#ended ??= Promise.withResolvers()
    return this.#ended.promise
  }

  #schedule(seconds: number): void {
    clearTimeout(this.#timer)
    const delay = Math.max(0, seconds)
    this.#dueAt = this.#options.now() + delay
    this.#timer = setTimeout(() => void this.#poll().then(() => this.#tellEnd()), delay * 1000)
    this.#timer.unref()
  }

  #tellEnd(): void {
    this.#ended?.resolve()
    this.#ended = undefined
  }

  async #poll(): Promise<void> {
    this.#polling = true
    const { limits, prober, now, onResult } = this.#options
    let startedAt = now()
    await (this.#failures > 0 ? limits.failing : limits.answering).turn()
    const limit = this.#isSilent ? limits.silent : limits.prompt
    const result = await limit.run(async () => {
      startedAt = now()
      // Its turn may come after it was taken out of the list.
      return this.#stopped ? undefined : await prober.probe(this.#node)
    })
    this.#polling = false
    this.#lastEndedAt = now()
    if (this.#stopped || !result) return
    this.#isSilent = isSilence(result)
    onResult(this.#node, result, startedAt)
    const delay = this.#delayAfter(result)
    this.#schedule(this.#pollAgain ? 0 : delay)
    this.#pollAgain = false
  }

  #delayAfter(result: ProbeResult): number {
    const { intervalSeconds } = this.#options
    // What an earlier answer said does not outlast one that says nothing.
    this.#budget = new CallBudget(RESERVE_CALLS)
    if (result.outcome === 'info') this.#budget.observe(200, result.headers, this.#options.now())
    if (result.outcome === 'pushback') {
      const now = this.#options.now()
      this.#budget.observe(429, result.headers, now)
      // Of one that is not in use yet nothing is known before it answers: not a whole interval for that.
      const delay = this.#node.health.isHealthy ? jittered(intervalSeconds) : this.#nextRetryDelay()
      return Math.max(this.#budget.notBefore - now, delay)
    }
    if (result.outcome === 'failed' || result.outcome === 'unasked') return this.#nextRetryDelay()
    this.#failures = 0
    if (this.#node.health.isWavering) return Math.min(intervalSeconds, FIRST_RETRY_SECONDS)
    return jittered(intervalSeconds)
  }

  #nextRetryDelay(): number {
    return jittered(Math.min(this.#options.intervalSeconds, FIRST_RETRY_SECONDS * 2 ** this.#failures++))
  }
}
