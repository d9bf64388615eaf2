/** Values in the order in which they were added, the oldest at hand. Each change costs the same, however many there are. */
export class OldestFirst<Value> {
  readonly #values = new Set<Value>()
  /** Stands behind `#first`. Kept, because a new one would first have to pass over all places that deletions left empty. */
  #rest: SetIterator<Value> | undefined
  #first: Value | undefined

  get count(): number {
    return this.#values.size
  }

  add(value: Value): void {
    this.#values.add(value)
  }

  delete(value: Value): void {
    this.#values.delete(value)
  }

  get oldest(): Value | undefined {
    while (this.#first === undefined || !this.#values.has(this.#first)) {
      if (this.#values.size === 0) {
        this.#first = this.#rest = undefined
        return undefined
      }
      this.#rest ??= this.#values.values()
      const { value, done } = this.#rest.next()
      this.#first = value
      // An iterator that has come to the end stays there.
      if (done) this.#rest = undefined
    }
    return this.#first
  }
}
