interface Item {
  readonly name: string
  size: number
  place: number
}

/** Names by size, the largest at hand: a binary heap in which a name's size may change. Each change costs O(log n). */
export class LargestFirst {
  readonly #items = new Map<string, Item>()
  /** The parent of place `n` is at `(n - 1) >> 1`, and no smaller. */
  readonly #heap: Item[] = []

  get count(): number {
    return this.#heap.length
  }

  get largest(): string | undefined {
    return this.#heap[0]?.name
  }

  /** Adds a name, or changes its size. */
  set(name: string, size: number): void {
    let item = this.#items.get(name)
    if (!item) {
      item = { name, size, place: this.#heap.length }
      this.#items.set(name, item)
      this.#heap.push(item)
    }
    item.size = size
    this.#settle(item)
  }

  delete(name: string): void {
    const item = this.#items.get(name)
    if (!item) return
    this.#items.delete(name)
    const last = this.#heap.pop()!
    if (last === item) return
    this.#put(last, item.place)
    this.#settle(last)
  }

  #settle(item: Item): void {
    this.#rise(item)
    this.#sink(item)
  }

  #rise(item: Item): void {
    while (item.place > 0) {
      const parent = this.#heap[(item.place - 1) >> 1]!
      if (parent.size >= item.size) return
      this.#swap(item, parent)
    }
  }

  #sink(item: Item): void {
    for (;;) {
      const left = this.#heap[2 * item.place + 1]
      const right = this.#heap[2 * item.place + 2]
      const larger = left && right && right.size > left.size ? right : left
      if (!larger || larger.size <= item.size) return
      this.#swap(item, larger)
    }
  }

  #swap(one: Item, other: Item): void {
    const { place } = one
    this.#put(one, other.place)
    this.#put(other, place)
  }

  #put(item: Item, place: number): void {
    item.place = place
    this.#heap[place] = item
  }
}
