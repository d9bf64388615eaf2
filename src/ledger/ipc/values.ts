/** Bytes of values that expire; the oldest give way. */
const MAX_BYTES = 32 * 1024 * 1024
/** What an entry takes besides its key and its value, bytes. */
const ENTRY_BYTES = 150

interface Kept {
  readonly value: Buffer
  /** On the clock of `performance.now`. */
  readonly expiresAt: number
}

/** Small values that all workers share. They live as long as the primary. */
export class HubValues {
  /** In the order in which they were set. */
  readonly #kept = new Map<string, Kept>()
  /** Those that stay: a handful that the gateway names itself. */
  readonly #once = new Map<string, string>()
  #bytes = 0

  get(name: string, key: string): Buffer | undefined {
    const id = idOf(name, key)
    const once = this.#once.get(id)
    if (once !== undefined) return Buffer.from(once)
    const kept = this.#kept.get(id)
    if (!kept) return undefined
    if (kept.expiresAt > performance.now()) return kept.value
    this.#drop(id, kept)
    return undefined
  }

  set(name: string, key: string, value: Buffer | string, ttlMs: number): void {
    this.delete(name, key)
    const id = idOf(name, key)
    // A copy: a view would keep the whole message alive that it came with.
    const kept = { value: Buffer.from(value as string), expiresAt: performance.now() + ttlMs }
    this.#kept.set(id, kept)
    this.#bytes += sizeOf(id, kept)
    for (const [oldId, old] of this.#kept) {
      if (this.#bytes <= MAX_BYTES && old.expiresAt > performance.now()) break
      this.#drop(oldId, old)
    }
  }

  delete(name: string, key: string): void {
    const id = idOf(name, key)
    const kept = this.#kept.get(id)
    if (kept) this.#drop(id, kept)
  }

  setOnce(name: string, key: string, value: string): string {
    const id = idOf(name, key)
    const standing = this.#once.get(id)
    if (standing !== undefined) return standing
    this.#once.set(id, value)
    return value
  }

  #drop(id: string, kept: Kept): void {
    this.#kept.delete(id)
    this.#bytes -= sizeOf(id, kept)
  }
}

function idOf(name: string, key: string): string {
  return `${name}\n${key}`
}

function sizeOf(id: string, { value }: Kept): number {
  return 2 * id.length + value.length + ENTRY_BYTES
}
