import { timingSafeEqual } from 'node:crypto'

/** A key and whom it stands for. */
export interface TableKey {
  /** SHA-256 of the key. */
  readonly digest: Buffer
  readonly caller: string
  /** Epoch ms; `Infinity` where it never expires. */
  readonly expiresAt: number
}

/**
 * Keys by their digest. A look-up takes as long for a hundred thousand keys as for one, and its time says nothing of the key that was
 * asked for: the first bytes of a digest, which decide where to look, cannot be chosen, and the rest is compared in constant time.
 */
export class KeyTable {
  readonly #keys = new Map<number, TableKey[]>()

  constructor(keys: readonly TableKey[]) {
    for (const key of keys) {
      const start = startOf(key.digest)
      const others = this.#keys.get(start)
      if (others) others.push(key)
      else this.#keys.set(start, [key])
    }
  }

  get isEmpty(): boolean {
    return this.#keys.size === 0
  }

  /** The key with this digest, expired or not. */
  find(digest: Buffer): TableKey | undefined {
    let found: TableKey | undefined
    for (const key of this.#keys.get(startOf(digest)) ?? []) if (timingSafeEqual(key.digest, digest)) found = key
    return found
  }
}

function startOf(digest: Buffer): number {
  return digest.readUInt32LE(0)
}
