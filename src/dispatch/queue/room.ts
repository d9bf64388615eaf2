/** Who holds places among the requests that may wait. */
export class Room {
  readonly limit: number
  readonly #held = new Map<string, number>()
  #all = 0

  /** @param limit requests that may wait (`QUEUE_SIZE`) */
  constructor(limit: number) {
    this.limit = limit
  }

  get taken(): number {
    return this.#all
  }

  get isFull(): boolean {
    return this.#all >= this.limit
  }

  /** Whether one more request of this caller may wait: there is a place, and it does not hold more of them than are free. */
  hasFor(caller: string): boolean {
    const own = this.#held.get(caller) ?? 0
    return own < this.limit - this.#all
  }

  take(caller: string): void {
    this.#all++
    this.#held.set(caller, (this.#held.get(caller) ?? 0) + 1)
  }

  giveBack(caller: string): void {
    this.#all--
    const left = (this.#held.get(caller) ?? 0) - 1
    if (left > 0) this.#held.set(caller, left)
    else this.#held.delete(caller)
  }
}
