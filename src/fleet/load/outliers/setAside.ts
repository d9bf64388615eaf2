import type { PolicyConstants } from '../constants.ts'

/**
 * Whether a backend is set aside for a kind of work, and until when. Each further time is longer, until the backend was
 * free for as long as it was set aside last. Once the time is over, one request at a time tries it.
 */
export class SetAside {
  readonly #constants: PolicyConstants
  #isAside = false
  /** The trial under way, by number; 0 where there is none. */
  #trial = 0
  #trials = 0
  #until = -Infinity
  #freedAt = -Infinity
  #seconds = 0
  /** Rung of the ladder for the next time. */
  #rung = 0

  constructor(constants: PolicyConstants) {
    this.#constants = constants
  }

  get isAside(): boolean {
    return this.#isAside
  }

  /** When the time is over, monotonic seconds; afterwards it stays set aside until a trial frees it. */
  get until(): number {
    return this.#until
  }

  /** Length of the last time, seconds. */
  get seconds(): number {
    return this.#seconds
  }

  /** Whether a request may try it. */
  mayTry(now: number): boolean {
    return now >= this.#until && this.#trial === 0
  }

  /** Returns the trial's number. */
  trialStarted(): number {
    this.#trial = ++this.#trials
    return this.#trial
  }

  /** Ends a trial, whatever it showed. A trial that is not the current one is ignored. */
  trialEnded(trial: number): void {
    if (trial === this.#trial) this.#trial = 0
  }

  /** For the first time, or for the next longer time after a trial that was refused. */
  begin(now: number): void {
    const { firstAsideSeconds, longestAsideSeconds, asideGrowthRatio } = this.#constants
    if (!this.#isAside && this.isForgotten(now)) this.#rung = 0
    const wanted = firstAsideSeconds * asideGrowthRatio ** this.#rung
    this.#seconds = Math.min(wanted, longestAsideSeconds)
    if (wanted < longestAsideSeconds * asideGrowthRatio) this.#rung++
    this.#isAside = true
    this.#trial = 0
    this.#until = now + this.#seconds
  }

  /** @param isUndone it should not have been set aside: the next time is no longer for it */
  end(now: number, { isUndone = false } = {}): void {
    this.#isAside = false
    this.#trial = 0
    this.#freedAt = now
    if (isUndone) this.#rung = Math.max(0, this.#rung - 1)
  }

  /** True once it has been free for as long as it was set aside: the next time is the shortest again. */
  isForgotten(now: number): boolean {
    return !this.#isAside && now - this.#freedAt >= this.#seconds
  }
}
