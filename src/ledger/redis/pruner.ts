import { steadyClock } from '../../base/steadyClock.ts'
import { KEPT_ANSWER_TTL_MS, type LedgerLimits } from '../ledger.ts'
import type { RedisCalls } from './connection.ts'
import { PRUNE } from './scripts/prune.ts'

const EVERY_MS = 1000
/** Removals in one call, so that other calls go in between. */
const MOST = 100

/** Removes what is too old or too much. Every replica does; it makes no difference which. */
export class Pruner {
  readonly #redis: RedisCalls
  readonly #limits: LedgerLimits
  readonly #onCounted: (jobs: number, bytes: number) => void
  readonly #expiryMs: () => number
  #timer: NodeJS.Timeout | undefined
  #pruning: Promise<void> | undefined

  /** `expiryMs`: the date by which what is old expires, by our own clock. */
  constructor(
    redis: RedisCalls,
    limits: LedgerLimits,
    onCounted: (jobs: number, bytes: number) => void,
    expiryMs = () => steadyClock.expiryMs(),
  ) {
    this.#redis = redis
    this.#limits = limits
    this.#onCounted = onCounted
    this.#expiryMs = expiryMs
  }

  start(): void {
    this.#timer ??= this.#plan()
  }

  #plan(): NodeJS.Timeout {
    return setTimeout(() => {
      void this.#prune().then(() => {
        if (this.#timer) this.#timer = this.#plan()
      })
    }, EVERY_MS).unref()
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** To be called when so many bytes are kept. */
  written(bytes: number): void {
    if (bytes > this.#limits.maxBytes && this.#timer) void this.#prune()
  }

  #prune(): Promise<void> {
    this.#pruning ??= this.#pruneAll().finally(() => (this.#pruning = undefined))
    return this.#pruning
  }

  async #pruneAll(): Promise<void> {
    const { ttlMs, maxBytes } = this.#limits
    try {
      for (let removed = MOST; removed >= MOST && this.#timer;) {
        const numbers = [this.#expiryMs(), ttlMs, KEPT_ANSWER_TTL_MS].map((ms) => String(Math.trunc(ms)))
        const reply = await this.#redis.run(PRUNE, [...numbers, String(maxBytes), String(MOST)])
        const [count, jobs, bytes] = reply as [number, number, number]
        removed = count
        this.#onCounted(jobs, bytes)
      }
    } catch {
      // Tried again in a second, by others as well.
    }
  }
}
