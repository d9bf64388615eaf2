import type { TrackedNode } from '../../fleet/node.ts'

/** Places of an engine that shows its load, while no queue was seen in it: they double with each poll until one is. */
const FIRST_PLACES = 8
/** Afterwards they grow by this part, and by one at least. */
const GROWTH = 1 / 8
/** How often places that were learnt from a pushback grow, seconds. */
const GROWTH_SECONDS = 1

/**
 * How many requests of ours one backend gets at a time: its `concurrency` where the operator gives one, less where its engine's own
 * count shows that requests wait inside it. Without either a service has room until it answers 429 or 503. Infernet nodes without a
 * given `concurrency` queue by themselves, and always have room.
 */
export class Gate {
  readonly #node: TrackedNode
  /** Learnt; `Infinity` while nothing was. */
  #places = Infinity
  #from: 'metrics' | 'pushback' | undefined
  /** What the operator gave when it was learnt: with another number it is learnt anew. */
  #told: number | undefined
  #hasSeenQueue = false
  /** While requests waited in the engine at its last poll: closed until ours there are fewer than this. */
  #closedFrom = Infinity
  #grownAt = -Infinity

  constructor(node: TrackedNode) {
    this.#node = node
  }

  /** Requests of ours that it may have at once; `Infinity` where it has no gate. */
  get places(): number {
    this.#heedOperator()
    return Math.min(this.#places, this.#told ?? Infinity)
  }

  /** Whether it takes one more. One that has nothing of ours to do always does. */
  get isOpen(): boolean {
    const { inFlight } = this.#node.load
    if (inFlight < this.#closedFrom) this.#closedFrom = Infinity
    else return inFlight === 0
    return inFlight === 0 || inFlight + 1 <= this.places
  }

  /** Places that are free; `Infinity` where it has no gate. */
  get free(): number {
    return this.isOpen ? Math.max(1, this.places - this.#node.load.inFlight) : 0
  }

  /**
   * Its engine has shown its load.
   *
   * @param isWanted whether requests wait for a place at it
   */
  sawLoad({ running, waiting, own }: { running: number; waiting: number; own: number }, isWanted: boolean): void {
    this.#heedOperator()
    if (this.#from !== 'metrics') {
      this.#from = 'metrics'
      this.#places = this.#told ?? FIRST_PLACES
    }
    this.#closedFrom = Infinity
    if (waiting > 0) {
      this.#hasSeenQueue = true
      this.#places = Math.max(1, Math.min(this.#places, running))
      this.#closedFrom = own - waiting
    } else if (isWanted && this.#node.load.inFlight >= this.#places - 1) {
      this.#grow(this.#hasSeenQueue ? GROWTH : 1)
    }
  }

  /** It answered that it wants no more for now; `others` are our requests that it has besides the one that it refused. */
  pushedBack(others: number, now: number): void {
    this.#heedOperator()
    if (this.#node.isInfernet || this.#told !== undefined || this.#from === 'metrics') return
    this.#from = 'pushback'
    this.#places = Math.max(1, others)
    this.#grownAt = now
  }

  /** Requests have waited for a place at it: to be called from time to time. `now`: monotonic seconds. */
  wanted(now: number): void {
    if (this.#from !== 'pushback' || now - this.#grownAt < GROWTH_SECONDS) return
    this.#grownAt = now
    if (this.#node.load.inFlight >= this.#places - 1) this.#grow(GROWTH)
  }

  #grow(part: number): void {
    this.#places += Math.max(1, Math.floor(this.#places * part))
  }

  /** What was learnt under another word of the operator's, or from metrics that are gone, holds no more. */
  #heedOperator(): void {
    const told = this.#node.load.toldConcurrency
    const hasLostMetrics = this.#from === 'metrics' && this.#node.engineLoad === undefined
    if (told === this.#told && !hasLostMetrics) return
    this.#told = told
    this.#places = Infinity
    this.#from = undefined
    this.#hasSeenQueue = false
    this.#closedFrom = Infinity
  }
}

/** The gates of all backends. */
export class Gates {
  readonly #gates = new WeakMap<TrackedNode, Gate>()

  of(node: TrackedNode): Gate {
    let gate = this.#gates.get(node)
    if (!gate) this.#gates.set(node, (gate = new Gate(node)))
    return gate
  }
}
