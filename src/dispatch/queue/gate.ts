import type { EventEmitter } from 'node:events'
import type { EngineLoad } from '../../fleet/engines/engineLoad.ts'
import type { FleetEvents } from '../../fleet/fleetEvents.ts'
import type { TrackedNode } from '../../fleet/node.ts'

/** Places of an engine that shows its load, while no queue was seen in it: they double with each poll until one is. */
const FIRST_PLACES = 8
/** Afterwards they grow by this part, and by one at least. */
const GROWTH = 1 / 8
/** How often places that were learnt from a pushback grow, seconds. */
const GROWTH_SECONDS = 1

/** 429s to several callers within this time say that the service is full, not that a caller has used up its quota. Seconds. */
const SAME_CAUSE_SECONDS = 30

/** For how long the load that an engine showed keeps its service closed: it is asked each second while requests wait. Seconds. */
const MOST_CLOSED_SECONDS = 4

interface Pushback {
  readonly status: number
  readonly caller: string
  /** Our requests that it has besides the one that it refused. */
  readonly others: number
  /** Monotonic seconds. */
  readonly now: number
}

/**
 * How many requests of ours one backend gets at a time: its `concurrency` where the operator gives one, less where its engine's own
 * count shows that requests wait inside it. Without either a service has room until it answers 503, or 429 to several callers.
 * Infernet nodes without a given `concurrency` queue by themselves, and always have room.
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
  #closedAt = -Infinity
  #grownAt = -Infinity
  #lastPushback: { readonly caller: string; readonly now: number } | undefined

  constructor(node: TrackedNode) {
    this.#node = node
  }

  /** Requests of ours that it may have at once; `Infinity` where it has no gate. */
  get places(): number {
    this.#forgetOutdated()
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
  sawLoad({ running, waiting, own, at }: EngineLoad, isWanted: boolean): void {
    this.#forgetOutdated()
    if (this.#from !== 'metrics') {
      this.#from = 'metrics'
      this.#places = this.#told ?? FIRST_PLACES
    }
    this.#closedFrom = Infinity
    if (waiting > 0) {
      this.#hasSeenQueue = true
      this.#places = Math.max(1, Math.min(this.#places, running))
      this.#closedFrom = own - waiting
      this.#closedAt = at
    } else if (isWanted && this.#node.load.inFlight >= this.#places - 1) {
      this.#grow(this.#hasSeenQueue ? GROWTH : 1)
    }
  }

  /** It answered that it wants no more for now: to this caller, or if several hear that, to all. */
  pushedBack({ status, caller, others, now }: Pushback): void {
    this.#forgetOutdated()
    if (this.#node.isInfernet || this.#told !== undefined || this.#from === 'metrics') return
    const last = this.#lastPushback
    this.#lastPushback = { caller, now }
    const isForAll = status !== 429 || (last && last.caller !== caller && now - last.now < SAME_CAUSE_SECONDS)
    if (!isForAll || others < 1) return
    this.#from = 'pushback'
    this.#places = others
    this.#grownAt = now
  }

  /** Requests have waited for a place at it: to be called from time to time. `now`: monotonic seconds. */
  wanted(now: number): void {
    // A load that is no longer told closes nothing.
    if (now - this.#closedAt > MOST_CLOSED_SECONDS) this.#closedFrom = Infinity
    if (this.#from !== 'pushback' || now - this.#grownAt < GROWTH_SECONDS) return
    this.#grownAt = now
    if (this.#node.load.inFlight >= this.#places - 1) this.#grow(GROWTH)
  }

  #grow(part: number): void {
    this.#places += Math.max(1, Math.floor(this.#places * part))
  }

  /** Forgets what was learnt before the operator gave another `concurrency`, or from metrics that are gone. */
  #forgetOutdated(): void {
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
  readonly #gates = new Map<TrackedNode, Gate>()

  /** @param fleet says which backends are gone */
  constructor(fleet: EventEmitter<FleetEvents>) {
    fleet.on('node:removed', (node) => this.#gates.delete(node))
  }

  of(node: TrackedNode): Gate {
    const known = this.#gates.get(node)
    if (known) return known
    const gate = new Gate(node)
    // One that no list names any more only ends what it has.
    if (!node.isRetired) this.#gates.set(node, gate)
    return gate
  }
}
