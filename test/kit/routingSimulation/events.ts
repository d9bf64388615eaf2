interface Event {
  readonly at: number
  readonly run: () => void
}

/** The clock of a simulation: runs what is due in the order of its time. A binary heap. */
export class Events {
  /** Seconds since the simulation began. */
  now = 0
  readonly #heap: Event[] = []

  after(seconds: number, run: () => void): void {
    this.at(this.now + seconds, run)
  }

  at(at: number, run: () => void): void {
    if (!(at >= this.now)) throw new RangeError(`an event cannot happen at ${at} when it is ${this.now}`)
    const heap = this.#heap
    let place = heap.length
    const event = { at, run }
    while (place > 0) {
      const parent = (place - 1) >> 1
      if (heap[parent]!.at <= at) break
      heap[place] = heap[parent]!
      place = parent
    }
    heap[place] = event
  }

  runUntil(end: number): void {
    while (this.#heap.length > 0 && this.#heap[0]!.at <= end) {
      const event = this.#takeFirst()
      this.now = event.at
      event.run()
    }
    this.now = end
  }

  #takeFirst(): Event {
    const heap = this.#heap
    const first = heap[0]!
    const last = heap.pop()!
    if (heap.length > 0) this.#sink(last)
    return first
  }

  #sink(event: Event): void {
    const heap = this.#heap
    let place = 0
    for (;;) {
      let child = 2 * place + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && heap[child + 1]!.at < heap[child]!.at) child++
      if (heap[child]!.at >= event.at) break
      heap[place] = heap[child]!
      place = child
    }
    heap[place] = event
  }
}
