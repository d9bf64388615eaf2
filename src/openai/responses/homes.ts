import { MAX_ID_BYTES } from '../../ids.ts'

/** What is remembered at most, bytes; the responses that were asked for least recently go first. */
const MAX_BYTES = 16 * 1024 * 1024
/** What an entry takes besides its texts, bytes; about. */
const ENTRY_BYTES = 250
const MAX_AGE_SECONDS = 86_400

/** Where a response is, and whose it is. */
export interface Place {
  /** The service's key; see `Fleet.find`. */
  readonly nodeKey: string
  /** Who had it made; undefined where this gateway did not see that. */
  readonly caller: string | undefined
}

/** Remembers which service made which response. The memory of this process alone; what it lacks is asked for. */
export class ResponseHomes {
  readonly #now: () => number
  readonly #maxBytes: number
  /** By id, the most recently used last. */
  readonly #homes = new Map<string, Place & { readonly since: number }>()
  #bytes = 0

  /** @param now monotonic seconds */
  constructor(now: () => number = () => performance.now() / 1000, maxBytes = MAX_BYTES) {
    this.#now = now
    this.#maxBytes = maxBytes
  }

  remember(id: string, { nodeKey, caller }: Place): void {
    if (id === '' || id.length > MAX_ID_BYTES) return
    this.forget(id)
    this.#homes.set(id, { nodeKey, caller, since: this.#now() })
    this.#bytes += sizeOf(id, caller)
    for (const oldest of this.#homes.keys()) {
      if (this.#bytes <= this.#maxBytes) break
      this.forget(oldest)
    }
  }

  find(id: string): Place | undefined {
    const home = this.#homes.get(id)
    if (!home) return undefined
    if (this.#now() - home.since > MAX_AGE_SECONDS) {
      this.forget(id)
      return undefined
    }
    this.#homes.delete(id)
    this.#homes.set(id, home)
    return home
  }

  forget(id: string): void {
    const home = this.#homes.get(id)
    if (!home) return
    this.#homes.delete(id)
    this.#bytes -= sizeOf(id, home.caller)
  }
}

function sizeOf(id: string, caller = ''): number {
  return ENTRY_BYTES + id.length + caller.length
}
