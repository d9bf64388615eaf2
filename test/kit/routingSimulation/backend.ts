import type { Events } from './events.ts'

/** A job as it is for its node. */
export interface Job {
  /** The mean job has 1. */
  readonly size: number
  /** Index of its kind of work, where there are kinds. */
  readonly kind?: number
}

/** A fake node: runs so many jobs at once, the others wait in the order in which they came. */
export class Backend {
  readonly concurrency: number
  /** Seconds that a job of size 1 takes. */
  readonly secondsPerJob: number
  /** How many times as long it takes for each kind of work; 1 for those that are not there. */
  readonly slownessAt: readonly number[]
  /** A black hole says that it has nothing to do, does nothing, and breaks off requests that wait for an answer. */
  isBlackHole = false
  mostPending = 0
  readonly #events: Events
  readonly #queue: (() => void)[] = []
  #queueHead = 0
  #running = 0

  constructor(events: Events, concurrency: number, secondsPerJob: number, slownessAt: readonly number[] = []) {
    this.#events = events
    this.concurrency = concurrency
    this.secondsPerJob = secondsPerJob
    this.slownessAt = slownessAt
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
  submit({ size, kind = 0 }: Job, done: () => void): void {
    if (this.isBlackHole) return
    const seconds = size * this.secondsPerJob * (this.slownessAt[kind] ?? 1)
    const start = (): void => {
      this.#running++
      this.#events.after(seconds, () => {
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
