/** The blocks that an engine has in its memory, at most so many; the one not used for longest goes first. */
export class PrefixCache {
  readonly #capacity: number
  readonly #slotOf = new Map<number, number>()
  readonly #block: Float64Array
  /** A ring of slots from the one used last to the one not used for longest; slot 0 is where it begins and ends. */
  readonly #older: Int32Array
  readonly #newer: Int32Array

  constructor(capacity: number) {
    this.#capacity = capacity
    this.#block = new Float64Array(capacity + 1)
    this.#older = new Int32Array(capacity + 1)
    this.#newer = new Int32Array(capacity + 1)
  }

  get size(): number {
    return this.#slotOf.size
  }

  /** How many of the first blocks are here. They count as used, the first one last. */
  use(blocks: readonly number[]): number {
    let found = 0
    while (found < blocks.length && this.#slotOf.has(blocks[found]!)) found++
    for (let i = found - 1; i >= 0; i--) this.#touch(this.#slotOf.get(blocks[i]!)!)
    return found
  }

  /** Keeps all of them, the last ones to go first. */
  keep(blocks: readonly number[]): void {
    for (let i = Math.min(blocks.length, this.#capacity) - 1; i >= 0; i--) {
      const block = blocks[i]!
      const slot = this.#slotOf.get(block)
      if (slot === undefined) this.#add(block)
      else this.#touch(slot)
    }
  }

  clear(): void {
    this.#slotOf.clear()
    this.#older[0] = 0
    this.#newer[0] = 0
  }

  #add(block: number): void {
    let slot = this.#slotOf.size + 1
    if (slot > this.#capacity) {
      slot = this.#newer[0]!
      if (slot === 0) return
      this.#slotOf.delete(this.#block[slot]!)
      this.#unlink(slot)
    }
    this.#block[slot] = block
    this.#slotOf.set(block, slot)
    this.#link(slot)
  }

  #touch(slot: number): void {
    this.#unlink(slot)
    this.#link(slot)
  }

  #unlink(slot: number): void {
    const [newer, older] = [this.#newer[slot]!, this.#older[slot]!]
    this.#older[newer] = older
    this.#newer[older] = newer
  }

  /** Makes it the newest: the ring's next older one from its beginning. */
  #link(slot: number): void {
    const newest = this.#older[0]!
    this.#older[0] = slot
    this.#newer[slot] = 0
    this.#older[slot] = newest
    this.#newer[newest] = slot
  }
}
