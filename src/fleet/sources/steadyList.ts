import type { Logger } from '../../base/logger.ts'

/** How long a list must stay empty, or short of more than half of its entries, before it is believed, ms. */
const BELIEVE_AFTER_MS = 5000

export interface SteadyListOptions {
  /** What the list is, as the log names it: `addresses file`. */
  readonly what: string
  /** Further fields of its log lines. */
  readonly fields: Readonly<Record<string, unknown>>
  readonly logger: Logger
  /** Replaces `BELIEVE_AFTER_MS` in tests. */
  readonly believeAfterMs?: number | undefined
}

/**
 * Protects a fleet from lists that are truncated by accident, as by `curl … > ips.txt`: a list that is empty, or lacks
 * more than half of the entries believed so far, replaces the last one only after it has stayed so for five seconds.
 * Every other list is believed at once, and so is the first. Entries are told apart by `key`.
 */
export class SteadyList<T extends { readonly key: string }> {
  readonly #options: SteadyListOptions
  readonly #believeAfterMs: number
  #believed: readonly T[] | undefined
  #keys: ReadonlySet<string> = new Set()
  #held: { readonly sinceMs: number; readonly missing: ReadonlySet<string> } | undefined

  constructor(options: SteadyListOptions) {
    this.#options = options
    this.#believeAfterMs = options.believeAfterMs ?? BELIEVE_AFTER_MS
  }

  /** The list in force; `undefined` before the first one. */
  get believed(): readonly T[] | undefined {
    return this.#believed
  }

  /** Milliseconds after which the list should be read again to confirm a loss; `undefined` where none is in doubt. */
  get confirmInMs(): number | undefined {
    if (!this.#held) return undefined
    return Math.max(1, Math.ceil(this.#held.sinceMs + this.#believeAfterMs - performance.now()))
  }

  /** Takes a list that was just read. Returns whether it is in force now. */
  offer(list: readonly T[]): boolean {
    const offered = new Set(list.map(({ key }) => key))
    const missing = new Set([...this.#keys].filter((key) => !offered.has(key)))
    const isLoss = missing.size * 2 > this.#keys.size
    if (isLoss && !this.#isConfirmed(missing)) return false
    if (this.#held) this.#report(isLoss)
    this.#held = undefined
    this.#believed = list
    this.#keys = offered
    return true
  }

  #isConfirmed(missing: ReadonlySet<string>): boolean {
    const nowMs = performance.now()
    if (!this.#held) this.#warn(missing)
    // Entries that are back show that the list is still being written: the time starts again.
    const isGrowing = [...(this.#held?.missing ?? [])].some((key) => !missing.has(key))
    this.#held = { missing, sinceMs: this.#held && !isGrowing ? this.#held.sinceMs : nowMs }
    return nowMs - this.#held.sinceMs >= this.#believeAfterMs
  }

  #warn(missing: ReadonlySet<string>): void {
    const { what, fields, logger } = this.#options
    const known = this.#keys.size
    const loss = missing.size === known ? 'all' : 'more than half'
    logger.warn(`${what} lost ${loss} of its entries, keeping the last list until it has stayed so for a while`, {
      ...fields,
      known,
      missing: missing.size,
      seconds: this.#believeAfterMs / 1000,
    })
  }

  #report(isLoss: boolean): void {
    const { what, fields, logger } = this.#options
    if (isLoss) logger.warn(`${what} stayed without most of its entries, the shorter list counts now`, { ...fields })
    else logger.info(`${what} has its entries again`, { ...fields })
  }
}
