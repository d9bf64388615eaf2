import type { Lane } from './lane.ts'

/** Lanes in the order of their turns: the caller with the least work first, by whole quanta, then the one that has waited longest. */
export class LaneHeap {
  readonly #lanes: Lane[] = []

  get size(): number {
    return this.#lanes.length
  }

  get first(): Lane | undefined {
    return this.#lanes[0]
  }

  /** The one at some place of the heap, not in order but for the first: those near the front come soon. */
  at(index: number): Lane | undefined {
    return this.#lanes[index]
  }

  has(lane: Lane): boolean {
    return this.#lanes[lane.heapIndex] === lane
  }

  /** Puts it in, or where it belongs after a change. */
  put(lane: Lane): void {
    if (!this.has(lane)) {
      lane.heapIndex = this.#lanes.length
      this.#lanes.push(lane)
    }
    this.#sink(this.#rise(lane.heapIndex))
  }

  remove(lane: Lane): void {
    if (!this.has(lane)) return
    const index = lane.heapIndex
    const last = this.#lanes.pop() as Lane
    lane.heapIndex = -1
    if (last === lane) return
    this.#set(index, last)
    this.#sink(this.#rise(index))
  }

  #rise(index: number): number {
    const lane = this.#lanes[index] as Lane
    let at = index
    while (at > 0) {
      const parent = (at - 1) >>> 1
      if (!isBefore(lane, this.#lanes[parent] as Lane)) break
      this.#set(at, this.#lanes[parent] as Lane)
      at = parent
    }
    this.#set(at, lane)
    return at
  }

  #sink(index: number): void {
    const lane = this.#lanes[index] as Lane
    const { length } = this.#lanes
    let at = index
    for (;;) {
      let child = 2 * at + 1
      if (child >= length) break
      if (child + 1 < length && isBefore(this.#lanes[child + 1] as Lane, this.#lanes[child] as Lane)) child++
      if (!isBefore(this.#lanes[child] as Lane, lane)) break
      this.#set(at, this.#lanes[child] as Lane)
      at = child
    }
    this.#set(at, lane)
  }

  #set(index: number, lane: Lane): void {
    this.#lanes[index] = lane
    lane.heapIndex = index
  }
}

function isBefore(a: Lane, b: Lane): boolean {
  if (a.quanta !== b.quanta) return a.quanta < b.quanta
  return (a.oldest?.turn.order ?? 0) < (b.oldest?.turn.order ?? 0)
}
