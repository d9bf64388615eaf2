import { hash } from 'node:crypto'
import { KeyTable } from './keyTable.ts'

const digestOf = (text: string): Buffer => hash('sha256', text, 'buffer')

/** Where keys come from that may change at any time. */
interface KeySource {
  readonly table: KeyTable
}

/** A set of secrets that answers in the same time whatever is asked. Digests make all lengths equal. */
export class KeyRing {
  readonly #fixed: KeyTable
  readonly #source: KeySource | undefined
  readonly #now: () => number

  /**
   * @param keys which are valid for as long as the process runs
   * @param source further ones, which win over those
   * @param now epoch ms
   */
  constructor(keys: readonly string[], source?: KeySource, now: () => number = Date.now) {
    this.#fixed = new KeyTable(
      keys.map((key) => {
        const digest = digestOf(key)
        return { digest, caller: `key:${digest.toString('hex').slice(0, 16)}`, expiresAt: Infinity }
      }),
    )
    this.#source = source
    this.#now = now
  }

  /** Whether no key is needed: there is none, and never will be. */
  get isOpen(): boolean {
    return this.#source === undefined && this.#fixed.isEmpty
  }

  /** The caller that a valid key stands for; never the key itself, so that it cannot leak into logs or the ledger. */
  callerOf(candidate: string | undefined): string | undefined {
    if (candidate === undefined || this.isOpen) return undefined
    const digest = digestOf(candidate)
    const key = this.#source?.table.find(digest)
    if (key) return key.expiresAt > this.#now() ? key.caller : undefined
    return this.#fixed.find(digest)?.caller
  }

  /** Whether this is one of the keys, also one that has expired: a secret of the gateway's own. */
  has(candidate: string): boolean {
    if (this.isOpen) return false
    const digest = digestOf(candidate)
    return this.#source?.table.find(digest) !== undefined || this.#fixed.find(digest) !== undefined
  }
}
