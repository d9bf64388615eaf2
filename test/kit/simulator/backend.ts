import type { Events } from './events.ts'

/** A simulated node: runs so many jobs at once, the others wait in the order in which they came. */
export class Backend {
  readonly concurrency: number
  /** Seconds that a job of size 1 takes. */
  readonly secondsPerJob: number
  /** A black hole says that it has nothing to do, does nothing, and breaks off requests that wait for an answer. */
  isBlackHole = false
  mostPending = 0
  readonly #events: Events
  readonly #queue: (() => void)[] = []
  #queueHead = 0
  #running = 0

  constructor(events: Events, concurrency: number, secondsPerJob: number) {
    this.#events = events
    this.concurrency = concurrency
    this.secondsPerJob = secondsPerJob
  }

  /** Jobs that have come and are not done, as `/info` shows them. */
  get pending(): number {
    return this.isBlackHole ? 0 : this.#running + this.#queue.length - this.#queueHead
  }

  /** Jobs of size 1 per second. */
  get throughput(): number {
    return this.concurrency / this.secondsPerJob
  }

  /** Takes a job; calls `done` at its end. */
  submit(size: number, done: () => void): void {
    if (this.isBlackHole) return
    const start = (): void => {
      this.#running++
      this.#events.after(size * this.secondsPerJob, () => {
        this.#running--
        this.#startNext()
        done()
      })
    }
    if (this.#running < this.concurrency) start()
    else this.#queue.push(start)
    this.mostPending = Math.max(this.mostPending, this.pending)
  }

  #startNext(): void {
    const next = this.#queue[this.#queueHead]
    if (next === undefined) return
    this.#queueHead++
    if (this.#queueHead > 1000 && this.#queueHead * 2 > this.#queue.length) {
      this.#queue.splice(0, this.#queueHead)
      this.#queueHead = 0
    }
    next()
  }
}
