import type { PolicyConstants } from '../constants.ts'
import { FadingCounts, logOdds, siblingRate, type Counts } from './blame.ts'
import { SetAside } from './setAside.ts'

/** What was answered since a backend's first refusal, and by whom. */
interface Window {
  answers: number
  refusals: number
  lastRefusalAt: number
  /** What the siblings had answered when it opened, of {@link Totals.ever}. */
  readonly siblingsBefore: Counts
  /** Its refusals by HTTP status. */
  readonly statuses: Map<number, number>
}

/** What all backends together answered to one kind of work. */
export class Totals {
  /** Since the kind's first refusal. */
  readonly ever = { answers: 0, refusals: 0 }
  readonly lately: FadingCounts

  constructor(halfLifeSeconds: number) {
    this.lately = new FadingCounts(halfLifeSeconds)
  }

  add(now: number, refusals: 0 | 1): void {
    this.ever.answers++
    this.ever.refusals += refusals
    this.lately.add(now, refusals)
  }
}

/** Statuses counted apart. */
const MOST_STATUSES = 10

/** What is reckoned of one backend at one kind of work. Times are monotonic seconds. */
export class Suspect<B> {
  readonly backend: B
  readonly aside: SetAside
  /** The odds that set it aside were those that suffice while another kind of it is set aside. */
  isByAssociation = false
  readonly #constants: PolicyConstants
  readonly #all: Totals
  readonly #own: Totals
  #window: Window | undefined

  constructor(backend: B, all: Totals, constants: PolicyConstants) {
    this.backend = backend
    this.#constants = constants
    this.#all = all
    this.#own = new Totals(constants.siblingHalfLifeSeconds)
    this.aside = new SetAside(constants)
  }

  get hasWindow(): boolean {
    return this.#window !== undefined
  }

  /** When it last refused what counted against it, monotonic seconds. */
  get lastRefusalAt(): number {
    return this.#window?.lastRefusalAt ?? -Infinity
  }

  /** What it answered since its window opened. */
  get counts(): Counts {
    return this.#window ?? { answers: 0, refusals: 0 }
  }

  /** What its siblings answered since then. */
  get siblings(): Counts {
    const window = this.#window
    if (!window) return { answers: 0, refusals: 0 }
    const { answers, refusals } = this.#siblingsEver()
    return { answers: answers - window.siblingsBefore.answers, refusals: refusals - window.siblingsBefore.refusals }
  }

  /** The status that most of its refusals had, and whether others had another; undefined without refusals. */
  get status(): { most: number; isOnly: boolean } | undefined {
    let most: number | undefined
    let times = 0
    const statuses = this.#window?.statuses ?? new Map<number, number>()
    for (const [status, count] of statuses) if (count > times) [most, times] = [status, count]
    return most === undefined ? undefined : { most, isOnly: statuses.size === 1 }
  }

  /** Logarithm of the odds that it is to blame. */
  logOdds(now: number): number {
    if (!this.#window) return -Infinity
    return logOdds(this.#window, siblingRate(this.siblings, this.#siblingsLately(now)))
  }

  /** Counts an answer as one of all; what it says of this backend is said by {@link blame} and {@link absolve}. */
  answered(now: number, refusals: 0 | 1): void {
    this.#all.add(now, refusals)
    this.#own.add(now, refusals)
  }

  /** A refusal counts against it. */
  blame(now: number, status: number): void {
    const window = (this.#window ??= this.#openWindow(now))
    window.answers++
    window.refusals++
    window.lastRefusalAt = now
    const { statuses } = window
    if (statuses.has(status) || statuses.size < MOST_STATUSES) statuses.set(status, (statuses.get(status) ?? 0) + 1)
  }

  /** An answer that is no refusal counts for it. Where that settles the matter, the window closes. */
  absolve(now: number): void {
    if (!this.#window) return
    this.#window.answers++
    if (this.logOdds(now) <= 0) this.#window = undefined
  }

  /** Refusals that counted against it turn out to say nothing. */
  takeOut(refusals: number): void {
    const window = this.#window
    if (!window) return
    window.answers = Math.max(0, window.answers - refusals)
    window.refusals = Math.max(0, window.refusals - refusals)
    if (window.refusals === 0) this.#window = undefined
  }

  /** A trial was served: one more refusal is enough to set it aside again. */
  trialServed(now: number): void {
    const window = this.#window
    if (!window) return
    window.refusals = Math.min(window.refusals, 2)
    window.answers = window.refusals + 1
    window.lastRefusalAt = now
  }

  /** Closes a window whose last refusal is too long ago. While the backend is set aside it stays, to judge the trial by. */
  expire(now: number): void {
    const window = this.#window
    if (!window || this.aside.isAside) return
    if (now - window.lastRefusalAt > this.#constants.outlierWindowSeconds) this.#window = undefined
  }

  /** Set aside, and for long nothing came to try it with. */
  isStale(now: number): boolean {
    return this.aside.isAside && now - this.aside.until > this.#constants.outlierWindowSeconds
  }

  /** Whether nothing of it matters any more. */
  isForgotten(now: number): boolean {
    return !this.#window && this.aside.isForgotten(now) && this.#own.lately.fadeTo(now).refusals < NEGLIGIBLE_REFUSALS
  }

  #openWindow(now: number): Window {
    const statuses = new Map<number, number>()
    return { answers: 0, refusals: 0, lastRefusalAt: now, siblingsBefore: this.#siblingsEver(), statuses }
  }

  #siblingsEver(): Counts {
    const { ever: all } = this.#all
    const { ever: own } = this.#own
    return { answers: all.answers - own.answers, refusals: all.refusals - own.refusals }
  }

  #siblingsLately(now: number): Counts {
    const all = this.#all.lately.fadeTo(now)
    const own = this.#own.lately.fadeTo(now)
    return { answers: all.answers - own.answers, refusals: all.refusals - own.refusals }
  }
}

/** Faded refusals below this hardly move a rate. */
export const NEGLIGIBLE_REFUSALS = 0.02
