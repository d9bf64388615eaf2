import type { PolicyConstants } from '../constants.ts'
import { NEGLIGIBLE_REFUSALS, Suspect, Totals } from './suspect.ts'

/** What is reckoned of the backends at one kind of work, as long as one of them refused it lately. */
export class KindOutliers<B extends object> {
  readonly kind: string
  readonly #constants: PolicyConstants
  readonly #all: Totals
  readonly #suspects = new Map<B, Suspect<B>>()
  readonly #aside = new Set<Suspect<B>>()
  /** The one whose refusal counted last. */
  suspected: Suspect<B> | undefined

  constructor(kind: string, constants: PolicyConstants) {
    this.kind = kind
    this.#constants = constants
    this.#all = new Totals(constants.siblingHalfLifeSeconds)
  }

  /** Backends with an entry here. */
  get size(): number {
    return this.#suspects.size
  }

  /** Backends that are set aside for this kind. */
  get aside(): ReadonlySet<Suspect<B>> {
    return this.#aside
  }

  find(backend: B): Suspect<B> | undefined {
    return this.#suspects.get(backend)
  }

  add(backend: B): Suspect<B> {
    const suspect = new Suspect(backend, this.#all, this.#constants)
    this.#suspects.set(backend, suspect)
    return suspect
  }

  /** An answer of a backend without an entry: it counts for its siblings. */
  answeredByOther(now: number): void {
    this.#all.add(now, 0)
  }

  forget(backend: B): void {
    const suspect = this.#suspects.get(backend)
    if (!suspect) return
    this.#suspects.delete(backend)
    this.#aside.delete(suspect)
    if (this.suspected === suspect) this.suspected = undefined
  }

  setAside(suspect: Suspect<B>): void {
    this.#aside.add(suspect)
  }

  freed(suspect: Suspect<B>): void {
    this.#aside.delete(suspect)
  }

  /** Whether a request may go to the backend as if nothing were; a trial where its time is over. */
  admits(backend: B, now: number, isRetry: boolean): boolean {
    const suspect = this.#suspects.get(backend)
    if (suspect === undefined || !suspect.aside.isAside) return true
    return !isRetry && suspect.aside.mayTry(now)
  }

  /** Closes windows that are too old. Returns whether nothing here matters any more. */
  expire(now: number): boolean {
    let isForgotten = true
    for (const suspect of this.#suspects.values()) {
      suspect.expire(now)
      isForgotten &&= suspect.isForgotten(now)
    }
    return isForgotten && this.#all.lately.fadeTo(now).refusals < NEGLIGIBLE_REFUSALS
  }
}
