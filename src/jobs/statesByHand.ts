import { setTimeout as sleep } from 'node:timers/promises'
import { inTime } from '../base/index.ts'
import type { Ledger } from '../ledger/index.ts'
import type { SharedValues } from '../replicas/index.ts'

const NAME = 'byhand'
/** Key of the value that says that there are any; no job has this id. */
const ANY = ''
/** How long a gateway goes by what it knows of that value, ms. */
const KNOWN_MS = 1000
/** So much later than that value has been set, every gateway goes by it, ms. */
const SPREAD_MS = 1500
/** For longer than a job is followed after a state was set by hand. */
const STATE_TTL_MS = 20 * 60_000
const ANY_TTL_MS = 30 * 60_000
/** A store that does not answer by then is done without, seconds. */
const STORE_SECONDS = 0.5

type FinalState = 'success' | 'failed'

/**
 * Final states that were set by hand, of jobs that the ledger has as running, so that all gateways which share it tell the same. A
 * state is told only once each of them would find it here. While none was set for a while, looking costs one question a second.
 */
export class StatesByHand {
  readonly #values: SharedValues | undefined
  readonly #publishing = new Set<string>()
  /** When the value that there are any was set by us: monotonic ms. */
  #anySince = -Infinity
  #areAny = false
  #lookedAt = -Infinity

  constructor({ shared }: Pick<Ledger, 'shared'>) {
    this.#values = shared?.coordination.values
  }

  /** Resolves to true once the state may be told to clients; false where it may not yet, and is to be published again. */
  async publish(id: string, state: FinalState): Promise<boolean> {
    const values = this.#values
    if (!values) return true
    if (this.#publishing.has(id)) return false
    this.#publishing.add(id)
    try {
      const startedAt = performance.now()
      await values.set(NAME, ANY, '1', ANY_TTL_MS)
      // A value that is set anew before it expires has been there all the time.
      const isNew = startedAt - this.#anySince > ANY_TTL_MS / 2
      if (isNew) this.#anySince = performance.now()
      await sleep(Math.max(0, this.#anySince + SPREAD_MS - performance.now()), undefined, { ref: false })
      await values.set(NAME, id, state, STATE_TTL_MS)
      return true
    } catch {
      return false
    } finally {
      this.#publishing.delete(id)
    }
  }

  /** The states of those of these jobs, which run according to the ledger, that were set by hand. Never rejects. */
  async find(ids: readonly string[]): Promise<ReadonlyMap<string, FinalState>> {
    const found = new Map<string, FinalState>()
    const values = this.#values
    if (!values || ids.length === 0 || !(await this.#look(values))) return found
    await Promise.all(
      ids.map(async (id) => {
        const state = (await inTime(values.get(NAME, id), STORE_SECONDS))?.toString()
        if (state === 'success' || state === 'failed') found.set(id, state)
      }),
    )
    return found
  }

  async #look(values: SharedValues): Promise<boolean> {
    const now = performance.now()
    if (now - this.#lookedAt < KNOWN_MS) return this.#areAny
    this.#areAny = (await inTime(values.get(NAME, ANY), STORE_SECONDS)) !== undefined
    this.#lookedAt = now
    return this.#areAny
  }
}
