/** Slots of the memory: it is exact to a sixtieth of its length and never grows. */
const SLOTS = 60

/** Counts the streams that clients left of late, since a node may go on counting them as pending. */
export class CancelledStreams {
  readonly #slotSeconds: number
  readonly #counts = new Int32Array(SLOTS)
  #slot = -Infinity
  #total = 0

  constructor(memorySeconds: number) {
    this.#slotSeconds = memorySeconds / SLOTS
  }

  add(now: number): void {
    const slot = this.#forget(now)
    this.#counts[slot % SLOTS]! += 1
    this.#total++
  }

  count(now: number): number {
    if (this.#total > 0) this.#forget(now)
    return this.#total
  }

  /** Empties the slots that came round since the last call; returns the number of the present one. */
  #forget(now: number): number {
    const slot = Math.max(this.#slot, Math.floor(now / this.#slotSeconds))
    for (let stale = Math.max(0, this.#slot + 1, slot - SLOTS + 1); stale <= slot; stale++) {
      this.#total -= this.#counts[stale % SLOTS]!
      this.#counts[stale % SLOTS] = 0
    }
    this.#slot = slot
    return slot
  }
}
