import { keccak_256 } from '@noble/hashes/sha3.js'
import { atOnce, type Steps } from '../base/turns.ts'

/*
 * A delegated subscription does not list its containers: `subscription.containers` is the keccak-256 of the Ethereum
 * ABI encoding of one string, the container ids in order, joined by commas. To know who can serve it, the hashes of all
 * pipelines that a node could run are made and looked through.
 */

/** How many hashes are made for one set of containers: all pipelines of six, or the shorter ones of more. */
const MOST_HASHES = 2_000
/** How many are made for one look-up, which takes some 25 ms; the next one goes on from there. */
const MOST_AT_ONCE = 2_000
/** How many are kept, some 30 MB, and of how many sets. */
const MOST_KEPT = 128_000
const MOST_SETS = 10_000
/** Once too much is kept nothing is added, until after this time all is made anew: for the sets that there are by then. */
const RENEW_AFTER_MS = 60 * 60 * 1000

/** The hash by which a subscription names these containers, in this order: `0x` and 64 lower-case digits. */
export function hashContainers(ids: readonly string[]): string {
  return `0x${Buffer.from(keccak_256(abiEncodedString(ids.join(',')))).toString('hex')}`
}

/** `abi.encode(string)`: the offset of the text, its length in bytes, and its bytes padded to whole words of 32. */
function abiEncodedString(text: string): Uint8Array {
  const length = Buffer.byteLength(text)
  const encoded = Buffer.alloc(64 + Math.ceil(length / 32) * 32)
  encoded.writeUInt32BE(32, 28)
  encoded.writeUInt32BE(length, 60)
  encoded.write(text, 64)
  return encoded
}

/** A hash as `hashContainers` spells it, from any case, with or without `0x`; undefined where it is no such hash. */
export function canonicalHash(hash: string): string | undefined {
  return /^(0x)?[0-9a-f]{64}$/i.test(hash) ? `0x${hash.slice(-64).toLowerCase()}` : undefined
}

/** Every ordered selection of different ids, those of fewest ids first, but no more than `bound` of them. */
export function* orderedSelections(ids: readonly string[], bound = MOST_HASHES): Generator<readonly string[]> {
  const distinct = [...new Set(ids)]
  let made = 0
  // Those of one length more are the previous ones with each id behind them that they do not have yet.
  let longest: Iterable<readonly string[]> = [[]]
  for (let length = 1; length <= distinct.length; length++) {
    const selections: (readonly string[])[] = []
    for (const shorter of longest) {
      for (const id of distinct) {
        if (shorter.includes(id)) continue
        if (made++ >= bound) return
        const selection = [...shorter, id]
        selections.push(selection)
        yield selection
      }
    }
    longest = selections
  }
}

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
  find(hash: string, sets: ContainerSets): readonly string[] | undefined {
    return atOnce(this.findSteps(hash, sets))
  }

  /** `find` in steps. */
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
