import type { Steps } from '../base/index.ts'
import { canonicalHash, hashContainers } from './containersHash.ts'
import { orderedSelections } from './orderedSelections.ts'

/*
 * A delegated subscription does not list its containers: `subscription.containers` is the keccak-256 of the Ethereum
 * ABI encoding of one string, the container ids in order, joined by commas. To know who can serve it, the hashes of all
 * pipelines that a node could run are made and looked through.
 */

/** How many are made for one look-up, which takes some 25 ms; the next one goes on from there. */
const MOST_AT_ONCE = 2_000
/** How many are kept, some 30 MB, and of how many sets. */
const MOST_KEPT = 128_000
const MOST_SETS = 10_000
/** Once too much is kept nothing is added, until after this time all is made anew: for the sets that there are by then. */
const RENEW_AFTER_MS = 60 * 60 * 1000

/** Container ids of the nodes that could be meant, one set a node. Work is saved where the same array comes again. */
export type ContainerSets = readonly (readonly string[])[]

/** Pipelines that are still to be hashed. */
type Selections = Iterator<readonly string[]>

/** The pipelines that the nodes seen so far can run, by hash. Each hash is made once. */
export class PipelineHashes {
  readonly #pipelines = new Map<string, readonly string[]>()
  /** What is still to be hashed of each set of containers. */
  readonly #selections = new Map<string, Selections>()
  /** The same by the array that was asked with: only those of which something is left. */
  #open = new WeakMap<ContainerSets, Set<Selections>>()
  readonly #mostKept: number
  #fullSince: number | undefined

  constructor(mostKept = MOST_KEPT) {
    this.#mostKept = mostKept
  }

  /**
   * The containers that the hash names, in their order, in any case and with or without `0x`, where they are among the
   * pipelines of these sets. Nothing is found of what could not be looked at yet.
   */
  *findSteps(hash: string, sets: ContainerSets): Steps<readonly string[] | undefined> {
    const canonical = canonicalHash(hash)
    if (canonical === undefined) return undefined
    if (!this.#pipelines.has(canonical)) yield* this.#makeMore(canonical, sets)
    return this.#pipelines.get(canonical)
  }

  /** Makes hashes until the wanted one is found, or as many as one look-up may. */
  *#makeMore(wanted: string, sets: ContainerSets): Steps<void> {
    this.#renewIfLongFull()
    if (this.#isFull) return
    const open = yield* this.#openOf(sets)
    // In turns, so that the short pipelines of all sets come before the long ones of any.
    for (let left = MOST_AT_ONCE; left > 0 && open.size > 0;) {
      for (const selections of open) {
        if (this.#isFull || left === 0) return
        const next = selections.next()
        if (next.done) {
          open.delete(selections)
          continue
        }
        this.#pipelines.set(hashContainers(next.value), next.value)
        left--
        yield
      }
      if (this.#pipelines.has(wanted)) return
    }
  }

  *#openOf(sets: ContainerSets): Steps<Set<Selections>> {
    let open = this.#open.get(sets)
    if (open) return open
    open = new Set()
    for (const ids of sets) {
      open.add(this.#selectionsOf(ids))
      yield
    }
    this.#open.set(sets, open)
    return open
  }

  #selectionsOf(ids: readonly string[]): Selections {
    const sorted = [...ids].sort()
    const key = JSON.stringify(sorted)
    const selections = this.#selections.get(key) ?? orderedSelections(sorted)
    if (!this.#isFull) this.#selections.set(key, selections)
    return selections
  }

  get #isFull(): boolean {
    return this.#pipelines.size >= this.#mostKept || this.#selections.size >= MOST_SETS
  }

  #renewIfLongFull(): void {
    if (!this.#isFull) return
    this.#fullSince ??= performance.now()
    if (performance.now() - this.#fullSince < RENEW_AFTER_MS) return
    this.#fullSince = undefined
    this.#pipelines.clear()
    this.#selections.clear()
    this.#open = new WeakMap()
  }
}
