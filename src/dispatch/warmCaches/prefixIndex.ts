import { WARM_CACHE_CONSTANTS } from './constants.ts'

/** Capacity of one service's index, in numbers, where this many services have one. */
export function indexCapacity(services: number): number {
  const { indexNumbers, allIndexesNumbers } = WARM_CACHE_CONSTANTS
  return Math.min(indexNumbers, Math.floor(allIndexesNumbers / Math.max(1, services)))
}

/** Entries that an index has room for at first. Powers of two, up to its capacity. */
const FIRST_ENTRIES = 64
/** No entry. */
const NONE = -1

/**
 * Beginnings of texts that one service was sent lately, as the numbers of their chains; see `PrefixChain`. The number that was
 * added longest ago goes first. All numbers of a chain are added together, its end first: so where one is in the index, all
 * before it are, too, and what goes first are the ends of chains.
 *
 * A hash table over a list in order of age, both in typed arrays: a `Map` of numbers takes four times the memory, and renewing
 * one there ten times as long.
 */
export class PrefixIndex {
  #capacity: number
  #size = 0
  /** By entry. */
  #numbers = new Float64Array(FIRST_ENTRIES)
  #older = new Int32Array(FIRST_ENTRIES)
  #newer = new Int32Array(FIRST_ENTRIES)
  /** Entry + 1 by slot, or 0; twice as many slots as entries, with linear probing. */
  #slots = new Int32Array(2 * FIRST_ENTRIES)
  #oldest = NONE
  #newest = NONE

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get size(): number {
    return this.#size
  }

  /** Numbers that it holds at most. */
  get capacity(): number {
    return this.#capacity
  }

  /** Takes over how many numbers it may hold; what is too many goes. */
  resize(capacity: number): void {
    this.#capacity = capacity
    if (this.#size <= capacity) return
    const kept: number[] = []
    for (let entry = this.#newest; kept.length < capacity; entry = this.#older[entry] as number) {
      kept.push(this.#numbers[entry] as number)
    }
    this.clear()
    this.add(kept)
  }

  has(number: number): boolean {
    return this.#slots[this.#slotOf(number)] !== 0
  }

  /** How many of a chain's first numbers are here. */
  depthOf(chain: readonly number[]): number {
    if (this.#size === 0) return 0
    let known = 0
    let unknown = chain.length + 1
    while (unknown - known > 1) {
      const middle = (known + unknown) >>> 1
      if (this.has(chain[middle - 1] as number)) known = middle
      else unknown = middle
    }
    return known
  }

  /** Adds the first `most` numbers of a chain (default: all), or renews them. */
  add(chain: readonly number[], most = Infinity): void {
    // Of a chain that is longer than the index only its beginning would be left.
    for (let i = Math.min(chain.length, most, this.#capacity) - 1; i >= 0; i--) this.addOne(chain[i] as number)
  }

  /** Adds a number that stands by itself, or renews it. */
  addOne(number: number): void {
    const known = (this.#slots[this.#slotOf(number)] as number) - 1
    if (known === NONE) return this.#insert(number)
    if (known === this.#newest) return
    this.#unlink(known)
    this.#linkNewest(known)
  }

  clear(): void {
    this.#size = 0
    this.#oldest = this.#newest = NONE
    this.#numbers = new Float64Array(FIRST_ENTRIES)
    this.#older = new Int32Array(FIRST_ENTRIES)
    this.#newer = new Int32Array(FIRST_ENTRIES)
    this.#slots = new Int32Array(2 * FIRST_ENTRIES)
  }

  #insert(number: number): void {
    if (this.#capacity <= 0) return
    let entry = this.#size
    if (entry >= this.#capacity) {
      entry = this.#oldest
      this.#freeSlotOf(this.#numbers[entry] as number)
      this.#unlink(entry)
    } else {
      if (entry === this.#numbers.length) this.#grow()
      this.#size++
    }
    this.#numbers[entry] = number
    this.#slots[this.#slotOf(number)] = entry + 1
    this.#linkNewest(entry)
  }

  /** The slot that has a number, or the free one where it belongs. */
  #slotOf(number: number): number {
    const slots = this.#slots
    const mask = slots.length - 1
    let slot = homeSlot(number, mask)
    for (;;) {
      const entry = slots[slot] as number
      if (entry === 0 || this.#numbers[entry - 1] === number) return slot
      slot = (slot + 1) & mask
    }
  }

  /** Frees a number's slot, and moves those behind it up that would not be found past the gap. */
  #freeSlotOf(number: number): void {
    const slots = this.#slots
    const mask = slots.length - 1
    let gap = this.#slotOf(number)
    for (let slot = (gap + 1) & mask; slots[slot] !== 0; slot = (slot + 1) & mask) {
      const entry = slots[slot] as number
      const home = homeSlot(this.#numbers[entry - 1] as number, mask)
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue
      slots[gap] = entry
      gap = slot
    }
    slots[gap] = 0
  }

  #grow(): void {
    const entries = 2 * this.#numbers.length
    this.#numbers = copied(new Float64Array(entries), this.#numbers)
    this.#older = copied(new Int32Array(entries), this.#older)
    this.#newer = copied(new Int32Array(entries), this.#newer)
    this.#slots = new Int32Array(2 * entries)
    for (let entry = 0; entry < this.#size; entry++) {
      this.#slots[this.#slotOf(this.#numbers[entry] as number)] = entry + 1
    }
  }

  #unlink(entry: number): void {
    const older = this.#older[entry] as number
    const newer = this.#newer[entry] as number
    if (older === NONE) this.#oldest = newer
    else this.#newer[older] = newer
    if (newer === NONE) this.#newest = older
    else this.#older[newer] = older
  }

  #linkNewest(entry: number): void {
    this.#older[entry] = this.#newest
    this.#newer[entry] = NONE
    if (this.#newest === NONE) this.#oldest = entry
    else this.#newer[this.#newest] = entry
    this.#newest = entry
  }
}

/** Where a number belongs. Chains' numbers are hashes already; others need not be. */
function homeSlot(number: number, mask: number): number {
  const bits = Math.imul(number >>> 0, 0x9e3779b1)
  return (bits ^ (bits >>> 15)) & mask
}

function copied<A extends Float64Array | Int32Array>(into: A, from: A): A {
  into.set(from)
  return into
}
