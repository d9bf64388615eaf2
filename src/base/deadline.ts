/**
 * Calls once when a time has come that may move meanwhile: never early, and late by a timer's own milliseconds only. A time
 * that moves away costs nothing, since it is compared when the timer fires; one that comes nearer needs a `look`.
 */
export class Deadline {
  readonly #dueAt: () => number
  readonly #onDue: () => void
  #timer: NodeJS.Timeout | undefined
  #firesAt = Infinity
  #isOver = false

  /** @param dueAt monotonic ms; Infinity for never */
  constructor(dueAt: () => number, onDue: () => void) {
    this.#dueAt = dueAt
    this.#onDue = onDue
    this.look()
  }

  /** To be called when the time may have come nearer. */
  look(): void {
    if (this.#isOver) return
    const dueAt = this.#dueAt()
    // Otherwise the timer looks by itself.
    if (dueAt >= this.#firesAt) return
    clearTimeout(this.#timer)
    this.#firesAt = dueAt
    this.#timer = setTimeout(() => this.#fire(false), Math.ceil(dueAt - performance.now()))
  }

  /** Ends it, at any time and as often as one likes. */
  stop(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
  }

  #fire(isSecondLook: boolean): void {
    if (this.#isOver) return
    this.#firesAt = Infinity
    if (this.#dueAt() > performance.now()) return this.look()
    // Where this process itself stood still, what came meanwhile is read first.
    if (!isSecondLook) return void setImmediate(() => this.#fire(true))
    this.#isOver = true
    this.#onDue()
  }
}
