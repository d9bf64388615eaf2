import type { SqliteStore } from './store.ts'

const STEP_ROWS = 200
/** A step removes row after row until this is over; a single large one may take longer. */
const STEP_MS = 2

export interface PrunerHooks {
  /** Whether nothing must be written at present. */
  readonly isGone: () => boolean
  /** Something was removed, or could not be. */
  readonly onStep: () => void
}

/** Removes what is too old or too much in small steps; groups that wait go in between. */
export class Pruner {
  readonly #store: SqliteStore
  readonly #hooks: PrunerHooks
  #isUnderWay = false
  /** Why the last step failed. */
  failure: string | null = null

  constructor(store: SqliteStore, hooks: PrunerHooks) {
    this.#store = store
    this.#hooks = hooks
  }

  prune(): void {
    if (this.#isUnderWay || this.#hooks.isGone()) return
    this.#isUnderWay = true
    setImmediate(this.#step)
  }

  readonly #step = (): void => {
    const until = performance.now() + STEP_MS
    const hasTime = (): boolean => performance.now() < until
    let removed = 0
    let hasMore = false
    try {
      this.#store.transaction(() => {
        do {
          const count = this.#store.retention.removeSome(hasTime)
          removed += count
          hasMore = count > 0
        } while (hasMore && removed < STEP_ROWS && hasTime())
      })
      this.failure = null
    } catch (error) {
      hasMore = false
      this.failure = (error as Error).message
    }
    if (removed > 0 || this.failure) this.#hooks.onStep()
    if (hasMore) setImmediate(this.#step)
    else this.#isUnderWay = false
  }
}
