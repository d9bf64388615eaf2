/** A queue whose ends both cost constant time: taking the first of a long array would move all others. */
export class Fifo<T> {
  #items: (T | undefined)[] = []
  /** Index of the first that is still in the queue. */
  #first = 0

  get size(): number {
    return this.#items.length - this.#first
  }

  /** The one that has been in the queue for longest. */
  get first(): T | undefined {
    return this.#items[this.#first]
  }

  push(item: T): void {
    this.#items.push(item)
  }

  /** Takes the one that has been in the queue for longest. */
  shift(): T | undefined {
    if (this.#first === this.#items.length) return undefined
    const item = this.#items[this.#first]
    this.#items[this.#first++] = undefined
    if (this.#first > 1024 && this.#first * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#first)
      this.#first = 0
    }
    return item
  }

  /** The items from the first one on, without taking them. */
  *[Symbol.iterator](): Generator<T, void> {
    for (let index = this.#first; index < this.#items.length; index++) yield this.#items[index] as T
  }
}
