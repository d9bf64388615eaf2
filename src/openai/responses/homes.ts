import { MAX_ID_BYTES } from '../../ids.ts'
import type { SharedValues } from '../../replicas/index.ts'
import { type Place, SharedHomes } from './sharedHomes.ts'

/** What is remembered at most, bytes; the responses that were asked for least recently go first. */
const MAX_BYTES = 16 * 1024 * 1024
/** What an entry takes besides its texts, bytes; about. */
const ENTRY_BYTES = 250
const MAX_AGE_SECONDS = 86_400

export interface ResponseHomesOptions {
  /** Monotonic seconds. */
  readonly now?: () => number
  readonly maxBytes?: number
  /** What gateways share, if they do. */
  readonly values?: SharedValues | undefined
}

/** Remembers which service made which response, in memory and where gateways share anything there too; what it lacks is asked for. */
export class ResponseHomes {
  readonly #now: () => number
  readonly #maxBytes: number
  readonly #shared: SharedHomes | undefined
  /** By id, the most recently used last. */
  readonly #homes = new Map<string, Place & { readonly since: number }>()
  #bytes = 0

  constructor({ now = () => performance.now() / 1000, maxBytes = MAX_BYTES, values }: ResponseHomesOptions = {}) {
    this.#now = now
    this.#maxBytes = maxBytes
    this.#shared = values && new SharedHomes(values, MAX_AGE_SECONDS * 1000)
  }

  remember(id: string, place: Place): void {
    if (!isId(id)) return
    this.#keep(id, place)
    this.#shared?.set(id, place)
  }

  /** What this gateway has in memory. */
  find(id: string): Place | undefined {
    const home = this.#homes.get(id)
    if (!home) return undefined
    if (this.#now() - home.since > MAX_AGE_SECONDS) {
      this.#drop(id)
      return undefined
    }
    this.#homes.delete(id)
    this.#homes.set(id, home)
    return home
  }

  /** The same, or what another gateway has seen. Never rejects. */
  async lookUp(id: string): Promise<Place | undefined> {
    const known = this.find(id)
    if (known || !this.#shared || !isId(id)) return known
    const place = await this.#shared.find(id)
    if (place) this.#keep(id, place)
    return place
  }

  /** The response was deleted. */
  forget(id: string): void {
    this.#drop(id)
    this.#shared?.delete(id)
  }

  #keep(id: string, { nodeKey, caller }: Place): void {
    this.#drop(id)
    this.#homes.set(id, { nodeKey, caller, since: this.#now() })
    this.#bytes += sizeOf(id, caller)
    for (const oldest of this.#homes.keys()) {
      if (this.#bytes <= this.#maxBytes) break
      this.#drop(oldest)
    }
  }

  #drop(id: string): void {
    const home = this.#homes.get(id)
    if (!home) return
    this.#homes.delete(id)
    this.#bytes -= sizeOf(id, home.caller)
  }
}

function isId(id: string): boolean {
  return id !== '' && id.length <= MAX_ID_BYTES
}

function sizeOf(id: string, caller = ''): number {
  return ENTRY_BYTES + id.length + caller.length
}
