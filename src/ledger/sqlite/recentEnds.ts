import type { JobEnd } from '../ledger.ts'

/** All that is held, in two generations. */
const MAX_BYTES = 32 * 1024 * 1024
/** After this a generation is the old one, and after as long again it goes. */
const GENERATION_MS = 30_000
/** Longer ends are not held: few of them would take the room of many. */
const MAX_END_BYTES = 256 * 1024
/** What an end takes besides its bytes and texts. */
const OVERHEAD_BYTES = 400

/** How a job of a caller ended. */
export interface RecentEnd extends JobEnd {
  readonly caller: string
  readonly node: string
}

interface Generation {
  readonly ends: Map<string, RecentEnd>
  bytes: number
}

/**
 * The ends of jobs that ended within the last minute, as far as they fit: most clients ask for a job just after its end. They
 * go by generations, so that forgetting costs the same however many there are.
 */
export class RecentEnds {
  readonly #maxBytes: number
  #young = emptyGeneration()
  #old = emptyGeneration()
  #timer: NodeJS.Timeout | undefined

  constructor(maxBytes = MAX_BYTES) {
    this.#maxBytes = maxBytes
  }

  /** What is held, by `bytesOf`. */
  get bytes(): number {
    return this.#young.bytes + this.#old.bytes
  }

  get(id: string): RecentEnd | undefined {
    return this.#young.ends.get(id) ?? this.#old.ends.get(id)
  }

  /** Holds a copy: what is handed in may be a small part of a large answer, which it would keep in memory. */
  add(id: string, end: RecentEnd): void {
    const bytes = bytesOf(id, end)
    if (bytes > MAX_END_BYTES) return
    if (this.#young.bytes + bytes > this.#maxBytes / 2) this.#age()
    const { result, intermediate } = end
    this.#young.ends.set(id, {
      ...end,
      result: ownCopy(result),
      intermediate: intermediate && ownCopy(intermediate),
    })
    this.#young.bytes += bytes
    this.#timer ??= setTimeout(this.#age, GENERATION_MS).unref()
  }

  delete(id: string): void {
    for (const generation of [this.#young, this.#old]) {
      const end = generation.ends.get(id)
      if (!end) continue
      generation.ends.delete(id)
      generation.bytes -= bytesOf(id, end)
    }
  }

  clear(): void {
    this.#young = emptyGeneration()
    this.#age()
  }

  readonly #age = (): void => {
    clearTimeout(this.#timer)
    this.#old = this.#young
    this.#young = emptyGeneration()
    this.#timer = this.#old.bytes > 0 ? setTimeout(this.#age, GENERATION_MS).unref() : undefined
  }
}

function emptyGeneration(): Generation {
  return { ends: new Map(), bytes: 0 }
}

function bytesOf(id: string, { caller, node, result, intermediate }: RecentEnd): number {
  return OVERHEAD_BYTES + id.length + caller.length + node.length + result.length + (intermediate?.length ?? 0)
}

function ownCopy(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(copy)
  return copy
}
