import type { KeyTurn, KeyUse } from '../../replicas/index.ts'
import type { Ledger } from '../ledger.ts'
import type { Life } from './owners.ts'

interface Reserved {
  readonly life: Life
  readonly bodyHash: Buffer
  /** Settles when it is known whether an answer is kept under the key already. */
  readonly lookedUp: Promise<unknown>
}

/** Idempotency-Keys of requests under way, over all workers. */
export class HubKeys {
  readonly #ledger: Ledger
  readonly #reserved = new Map<string, Reserved>()

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  async reserve(life: Life, { bodyHash, ...use }: KeyUse & { bodyHash: Buffer }): Promise<KeyTurn> {
    const name = nameOf(use)
    for (;;) {
      const other = this.#reserved.get(name)
      if (!other) break
      await other.lookedUp
      if (this.#reserved.get(name) === other) return { kind: 'busy', bodyHash: other.bodyHash }
    }
    const kept = this.#ledger.idempotencyRecord(use.caller, use.path, use.key)
    const lookedUp = kept.catch(() => {})
    const mine: Reserved = { life, bodyHash: Buffer.from(bodyHash), lookedUp }
    this.#reserved.set(name, mine)
    try {
      if (!(await kept)) return { kind: 'ours' }
      this.#free(name, mine)
      return { kind: 'kept' }
    } catch (error) {
      this.#free(name, mine)
      throw error
    }
  }

  /** Frees a key that this life holds: its request was refused, or its answer is kept. */
  release(life: Life, use: KeyUse): void {
    const name = nameOf(use)
    if (this.#reserved.get(name)?.life === life) this.#reserved.delete(name)
  }

  /** Keys of a dead life are free. */
  releaseAll(life: Life): void {
    for (const [name, reserved] of this.#reserved) if (reserved.life === life) this.#reserved.delete(name)
  }

  #free(name: string, reserved: Reserved): void {
    if (this.#reserved.get(name) === reserved) this.#reserved.delete(name)
  }
}

function nameOf({ caller, path, key }: KeyUse): string {
  return `${caller}\n${path}\n${key}`
}
