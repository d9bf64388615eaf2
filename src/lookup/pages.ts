import { hash } from 'node:crypto'
import type { Ledger } from '../ledger/index.ts'
import { inTime } from '../base/index.ts'

const NAME = 'page'
/** How long a walk may pause between two pages, seconds. */
const KEPT_SECONDS = 60
/** Bytes of all walks in memory; those that paused longest are forgotten first. */
const MOST_BYTES = 16 * 1024 * 1024
/** What a walk takes besides its keys, and each key besides its text, bytes; about. */
const WALK_BYTES = 250
const KEY_BYTES = 16
/** A longer walk is not shared: a fleet of thousands. */
const MOST_SHARED_BYTES = 256 * 1024

/** A caller's walk through the nodes of one requirement, page by page. */
export interface Walk {
  /** Keys of nodes in the order of the walk, those of earlier pages included. */
  readonly keys: readonly string[]
  /** How many of them are on pages that were given out. */
  readonly shown: number
}

/** A node as a walk sees it. */
interface Keyed {
  readonly key: string
}

/**
 * The page at `offset` of a walk, and the walk after it. `ranked` are the nodes that could be shown now, best first: what has
 * gone is left out, what has come is at the end. So that clients which count what they get see every node once, pages to come
 * move up for nodes that have gone, while those that were given out keep their places.
 */
export function pageOf<T extends Keyed>(
  { keys, shown }: Walk,
  ranked: readonly T[],
  n: number,
  offset: number,
): { readonly page: readonly T[]; readonly walk: Walk } {
  const nodes = new Map(ranked.map((node) => [node.key, node]))
  const given = keys.slice(0, shown)
  const order = [...given, ...keys.slice(shown).filter((key) => nodes.has(key))]
  const known = new Set(order)
  for (const { key } of ranked) if (!known.has(key)) order.push(key)
  const page = order.slice(offset, offset + n).flatMap((key) => nodes.get(key) ?? [])
  return { page, walk: { keys: order, shown: Math.max(shown, Math.min(offset + n, order.length)) } }
}

/**
 * The walks of callers. In memory, and where gateways share anything there too: any of them gives the next page. While that is
 * away, each goes by the walks that it began itself.
 */
export class Walks {
  readonly #ledger: Pick<Ledger, 'shared'>
  readonly #now: () => number
  readonly #maxBytes: number
  /** The one that went on last is at the end. */
  readonly #walks = new Map<string, Walk & { readonly until: number }>()
  #bytes = 0

  /** `now` tells monotonic seconds. */
  constructor(ledger: Pick<Ledger, 'shared'>, now: () => number, maxBytes = MOST_BYTES) {
    this.#ledger = ledger
    this.#now = now
    this.#maxBytes = maxBytes
  }

  /** The name of a caller's walk through the nodes that meet a requirement. */
  static idOf(caller: string, requirement: string): string {
    return hash('sha256', JSON.stringify([caller, requirement]), 'base64url')
  }

  /** A walk that began, or went on, within the last minute. Never rejects. */
  async find(id: string): Promise<Walk | undefined> {
    const shared = await inTime(this.#values?.get(NAME, id))
    if (shared) return walkIn(shared)
    const walk = this.#walks.get(id)
    return walk && walk.until > this.#now() ? walk : undefined
  }

  /** Keeps a walk as it is after a page. Settles when the other gateways know of it, or cannot be told; never rejects. */
  async keep(id: string, { keys, shown }: Walk): Promise<void> {
    this.#drop(id)
    const walk = { keys, shown, until: this.#now() + KEPT_SECONDS }
    this.#walks.set(id, walk)
    this.#bytes += bytesOf(walk)
    for (const oldest of this.#walks.keys()) {
      if (this.#bytes <= this.#maxBytes) break
      this.#drop(oldest)
    }
    const values = this.#values
    if (!values) return
    const text = JSON.stringify([shown, ...keys])
    if (text.length > MOST_SHARED_BYTES) await inTime(values.delete(NAME, id))
    else await inTime(values.set(NAME, id, text, KEPT_SECONDS * 1000))
  }

  get #values() {
    return this.#ledger.shared?.coordination.values
  }

  #drop(id: string): void {
    const walk = this.#walks.get(id)
    if (!walk) return
    this.#walks.delete(id)
    this.#bytes -= bytesOf(walk)
  }
}

function walkIn(text: Buffer): Walk {
  const [shown, ...keys] = JSON.parse(text.toString()) as [number, ...string[]]
  return { keys, shown }
}

function bytesOf({ keys }: Walk): number {
  return keys.reduce((sum, key) => sum + KEY_BYTES + key.length, WALK_BYTES)
}
