import { Fifo } from './fifo.ts'

/** Lets at most `most` tasks start at once; the others wait in order. */
export class Semaphore {
  readonly #most: number
  readonly #holdSeconds: number
  #held = 0
  readonly #waiting = new Fifo<() => void>()

  /** A task that lasts longer than `holdSeconds` gives its place to the next one and goes on without. */
  constructor(most: number, holdSeconds = Infinity) {
    this.#most = most
    this.#holdSeconds = holdSeconds
  }

  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#held >= this.#most) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    else this.#held++
    const release = this.#releaseOnce()
    const timer = this.#holdSeconds === Infinity ? undefined : setTimeout(release, this.#holdSeconds * 1000).unref()
    try {
      return await task()
    } finally {
      clearTimeout(timer)
      release()
    }
  }

  #releaseOnce(): () => void {
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      const next = this.#waiting.shift()
      if (next) next()
      else this.#held--
    }
  }
}
