import { type Books, putRight } from './putRight.ts'

/** Counts in a row that must differ before ids are compared: what is under way makes them differ for a moment. */
const COUNTS_IN_A_ROW = 3
/** After a comparison that found nothing, counts are believed for this long: at first, and at most; seconds. */
const FIRST_PAUSE_SECONDS = 5
const LONGEST_PAUSE_SECONDS = 60

/**
 * Notices where the ledger and this gateway do not agree on which jobs are its own, as after an insert whose acknowledgement
 * was lost. Only what differs in two comparisons, a beat apart, is put right.
 */
export class Reconcile {
  readonly #books: Books
  /** Monotonic seconds. */
  readonly #now: () => number
  #differing = 0
  #suspects: ReadonlySet<string> = new Set()
  #pauseSeconds = FIRST_PAUSE_SECONDS
  #notBefore = -Infinity
  #isBusy = false

  constructor(books: Books, now: () => number) {
    this.#books = books
    this.#now = now
  }

  /** `count`: how many unfinished jobs the ledger has in our name. Never rejects. */
  async seen(count: number): Promise<void> {
    if (this.#isBusy) return
    this.#differing = count === this.#books.live.size ? 0 : this.#differing + 1
    if (this.#differing === 0) this.#suspects = new Set()
    if (this.#differing < COUNTS_IN_A_ROW || this.#now() < this.#notBefore) return
    this.#isBusy = true
    try {
      await this.#compare()
    } catch (error) {
      // The store is away; the counts are looked at again when it is back.
      this.#books.logger.debug('jobs were not compared with the ledger', { error })
    } finally {
      this.#isBusy = false
    }
  }

  async #compare(): Promise<void> {
    const { shared, live } = this.#books
    const { membership } = shared.coordination
    const { self } = membership
    const theirs = new Map((await shared.unfinished()).map(({ record }) => [record.id, record]))
    if (membership.self !== self) return
    const missing = [...theirs.keys()].filter((id) => !live.find(id))
    const extra = live.ids().filter((id) => !theirs.has(id) && !live.find(id)?.end)
    const confirmed = (id: string): boolean => this.#suspects.has(id)
    for (const id of missing.filter(confirmed)) live.adopt(theirs.get(id)!)
    const lost = extra.filter(confirmed)
    const hadSuspects = this.#suspects.size > 0
    this.#suspects = new Set([...missing, ...extra].filter((id) => !confirmed(id)))
    this.#pace(hadSuspects)
    await putRight(this.#books, lost)
  }

  /** With many jobs under way the counts differ always: comparing that often would be work for nothing. */
  #pace(hadSuspects: boolean): void {
    if (!hadSuspects && this.#suspects.size > 0) return
    this.#notBefore = this.#now() + this.#pauseSeconds
    this.#pauseSeconds = Math.min(2 * this.#pauseSeconds, LONGEST_PAUSE_SECONDS)
    this.#suspects = new Set()
  }
}
