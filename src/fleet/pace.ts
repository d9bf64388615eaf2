import { Fifo } from '../fifo.ts'

/** How often turns are given out while some wait, ms. */
const TICK_MS = 20

export interface PaceOptions {
  /** Turns a second. */
  readonly perSecond: number
  /** Turns that may be taken at once after a rest. */
  readonly burst: number
}

/** Lets so many tasks a second begin; the others wait in order. What that costs does not depend on how many wait. */
export class Pace {
  readonly #options: PaceOptions
  readonly #waiting = new Fifo<() => void>()
  #turns: number
  #countedAt = performance.now()
  #timer: NodeJS.Timeout | undefined

  constructor(options: PaceOptions) {
    this.#options = options
    this.#turns = options.burst
  }

  /** Resolves when it is the asker's turn; `undefined` where it is already. */
  turn(): Promise<void> | undefined {
    this.#count()
    if (!this.#timer && this.#turns >= 1) {
      this.#turns--
      return undefined
    }
    this.#timer ??= setInterval(() => this.#giveOut(), TICK_MS).unref()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #count(): void {
    const now = performance.now()
    const { perSecond, burst } = this.#options
    this.#turns = Math.min(burst, this.#turns + ((now - this.#countedAt) / 1000) * perSecond)
    this.#countedAt = now
  }

  #giveOut(): void {
    this.#count()
    for (; this.#turns >= 1; this.#turns--) {
      const next = this.#waiting.shift()
      if (!next) {
        clearInterval(this.#timer)
        this.#timer = undefined
        return
      }
      next()
    }
  }
}
