import type { Ledger } from '../ledger/index.ts'

/** Between two looks at one job, ms: the first pause, what the next ones are multiplied with, and the longest. */
const FIRST_PAUSE_MS = 50
const PAUSE_GROWTH = 1.5
const LONGEST_PAUSE_MS = 500
/** Jobs that are due within this time are looked at together, ms. */
const TOGETHER_MS = 15
/** Jobs of one look; the others follow at once. */
const MOST_AT_ONCE = 1000

interface Watched {
  readonly caller: string
  pauseMs: number
  /** Monotonic ms. */
  dueAt: number
}

/**
 * Learns from the shared ledger when jobs that other gateways follow have ended. Looks at all of them together, each at a pace of
 * its own that slows down: a short job is noticed soon, and a long one costs two looks a second however many clients wait for it.
 */
export class LedgerWatch {
  readonly #ledger: Pick<Ledger, 'read'>
  readonly #onOver: (id: string) => void
  readonly #jobs = new Map<string, Watched>()
  #timer: NodeJS.Timeout | undefined
  #dueAt = Infinity
  #isLooking = false

  /** `onOver`: the job has ended, or is not kept any more; it is not watched from then on. */
  constructor(ledger: Pick<Ledger, 'read'>, onOver: (id: string) => void) {
    this.#ledger = ledger
    this.#onOver = onOver
  }

  get size(): number {
    return this.#jobs.size
  }

  add(id: string, caller: string): void {
    if (this.#jobs.has(id)) return
    const dueAt = performance.now() + FIRST_PAUSE_MS
    this.#jobs.set(id, { caller, pauseMs: FIRST_PAUSE_MS, dueAt })
    this.#lookBy(dueAt)
  }

  remove(id: string): void {
    this.#jobs.delete(id)
  }

  #lookBy(at: number): void {
    if (this.#isLooking || at >= this.#dueAt) return
    clearTimeout(this.#timer)
    this.#dueAt = at
    this.#timer = setTimeout(() => void this.#look(), Math.max(0, at - performance.now())).unref()
  }

  async #look(): Promise<void> {
    this.#isLooking = true
    const idsOf = this.#due()
    await Promise.all([...idsOf].map(([caller, ids]) => this.#lookAt(caller, ids)))
    this.#isLooking = false
    this.#dueAt = Infinity
    let next = Infinity
    for (const { dueAt } of this.#jobs.values()) next = Math.min(next, dueAt)
    if (next < Infinity) this.#lookBy(next)
  }

  /** The jobs whose turn it is, by caller. */
  #due(): Map<string, string[]> {
    const now = performance.now()
    const idsOf = new Map<string, string[]>()
    let count = 0
    for (const [id, job] of this.#jobs) {
      if (job.dueAt > now + TOGETHER_MS) continue
      if (count++ === MOST_AT_ONCE) break
      job.pauseMs = Math.min(job.pauseMs * PAUSE_GROWTH, LONGEST_PAUSE_MS)
      job.dueAt = now + job.pauseMs
      const ids = idsOf.get(job.caller)
      if (ids) ids.push(id)
      else idsOf.set(job.caller, [id])
    }
    return idsOf
  }

  async #lookAt(caller: string, ids: readonly string[]): Promise<void> {
    let running: Set<string>
    try {
      const jobs = await this.#ledger.read(caller, ids, { withIntermediate: false })
      running = new Set(jobs.filter(({ state }) => state === 'running').map(({ id }) => id))
    } catch {
      // The store is away: a later look tells.
      return
    }
    for (const id of ids) if (!running.has(id) && this.#jobs.delete(id)) this.#onOver(id)
  }
}
