import { Fifo } from '../base/fifo.ts'

/** How often turns are given out while some wait, ms. */
const TICK_MS = 20

export interface PaceOptions {
  /** Turns a second. */
  readonly perSecond: number
  /** Turns that may be taken at once after a rest. */
  readonly burst: number
}

/** Tasks that begin in one turn of the event loop: thousands of dead nodes fail at once, at up to a millisecond each. */
const MOST_A_TURN = 8

/** Lets so many tasks a second begin; the others wait in order. What that costs does not depend on how many wait. */
export class Pace {
  readonly #options: PaceOptions
  readonly #waiting = new Fifo<() => void>()
  #turns: number
  #countedAt = performance.now()
  /** Tasks that may still begin in this turn of the event loop. */
  #room = MOST_A_TURN
  #isScheduled = false

  constructor(options: PaceOptions) {
    this.#options = options
    this.#turns = options.burst
  }

  /** Resolves when it is the asker's turn; `undefined` where it is already. */
  turn(): Promise<void> | undefined {
    this.#count()
    if (this.#waiting.size === 0 && this.#take()) return undefined
    const turn = new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#schedule()
    return turn
  }

  #count(): void {
    const now = performance.now()
    const { perSecond, burst } = this.#options
    this.#turns = Math.min(burst, this.#turns + ((now - this.#countedAt) / 1000) * perSecond)
    this.#countedAt = now
  }

  #take(): boolean {
    if (this.#turns < 1 || this.#room === 0) return false
    if (this.#room === MOST_A_TURN) setImmediate(() => (this.#room = MOST_A_TURN)).unref()
    this.#turns--
    this.#room--
    return true
  }

  #schedule(): void {
    if (this.#isScheduled || this.#waiting.size === 0) return
    this.#isScheduled = true
    const giveOut = (): void => {
      this.#isScheduled = false
      this.#count()
      while (this.#waiting.size > 0 && this.#take()) this.#waiting.shift()?.()
      this.#schedule()
    }
    if (this.#turns >= 1) setImmediate(giveOut).unref()
    else setTimeout(giveOut, TICK_MS).unref()
  }
}
