import { withTimeout } from '../../base/index.ts'
import type { SharedValues } from '../../replicas/index.ts'

const NAME = 'resp'
/** A store that does not answer by then is done without, seconds. */
const LOOK_SECONDS = 0.25
/** Changes under way at once; more are left out. Only a store that hangs lets as many come together. */
const MOST_CHANGES = 200

/** Where a response is, and whose it is. */
export interface Place {
  /** The service's key; see `Fleet.find`. */
  readonly nodeKey: string
  /** Who had it made; undefined where this gateway did not see that. */
  readonly caller: string | undefined
}

/** Where responses are, as far as any gateway of a store saw them being made. Best effort: what it lacks, services are asked for. */
export class SharedHomes {
  readonly #values: SharedValues
  readonly #ttlMs: number
  #changes = 0

  constructor(values: SharedValues, ttlMs: number) {
    this.#values = values
    this.#ttlMs = ttlMs
  }

  set(id: string, { nodeKey, caller }: Place): void {
    // Without its caller it would take a response from the one who had it made, should that be known there.
    if (caller === undefined) return
    void this.#change(() => this.#values.set(NAME, id, JSON.stringify([nodeKey, caller]), this.#ttlMs))
  }

  delete(id: string): void {
    void this.#change(() => this.#values.delete(NAME, id))
  }

  /** Never rejects: while the store is away nothing is found. */
  async find(id: string): Promise<Place | undefined> {
    try {
      const look = this.#values.get(NAME, id)
      const value = (await withTimeout(look, LOOK_SECONDS)) ? await look : undefined
      return value && placeIn(value)
    } catch {
      return undefined
    }
  }

  async #change(change: () => Promise<void>): Promise<void> {
    if (this.#changes >= MOST_CHANGES) return
    this.#changes++
    try {
      await change()
    } catch {
      // The next gateway that is asked for the response asks the services.
    } finally {
      this.#changes--
    }
  }
}

function placeIn(value: Buffer): Place {
  const [nodeKey, caller] = JSON.parse(value.toString()) as [string, string]
  return { nodeKey, caller }
}
