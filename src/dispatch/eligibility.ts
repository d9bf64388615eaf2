import type { KindOutliers } from '../fleet/load/outliers/kindOutliers.ts'
import type { TrackedNode } from '../fleet/node.ts'

/** Who may be chosen besides, once nobody else is left: each fallback includes those before it. */
export const Fallback = {
  none: 0,
  /** Nodes that are set aside for this kind of work. */
  setAside: 1,
  /** Nodes that are ejected for failing traffic: a try is still better than a refusal. */
  ejected: 2,
  /** Nodes that look unhealthy, where most of the fleet does: see `Selector`. */
  unhealthy: 3,
} as const

export type FallbackLevel = (typeof Fallback)[keyof typeof Fallback]

/** What decides whether a node that fits may be chosen for one request. */
export class Eligibility {
  readonly now: number
  /** Nodes that were tried already. */
  readonly #except: ReadonlySet<TrackedNode> | undefined
  readonly #cooldownKey: string | undefined
  /** A retry is no trial: it goes to one that is set aside only where nobody else is left. */
  readonly #isRetry: boolean
  /** Undefined where nobody is set aside for this kind of work. */
  readonly #outliers: KindOutliers<TrackedNode> | undefined
  fallback: FallbackLevel = Fallback.none
  /** Nodes that may be chosen, but for want of a place. */
  full: Set<TrackedNode> | undefined
  /** Whether nodes were left out that other requests for the same may go to: those that were tried, that rest, or are set aside. */
  isHindered = false
  /** Whether a node has a place; undefined where that does not matter. */
  readonly #isOpen: ((node: TrackedNode) => boolean) | undefined
  /** Least seconds until one of those that were refused because they cool down may be asked again. */
  leastCooldownSeconds = Infinity

  constructor(
    now: number,
    outliers: KindOutliers<TrackedNode> | undefined,
    { except, cooldownKey, isOpen }: EligibilityOptions,
  ) {
    this.#isOpen = isOpen
    this.now = now
    this.#outliers = outliers
    this.#except = except
    this.#cooldownKey = cooldownKey
    this.#isRetry = except !== undefined && except.size > 0
  }

  /** The one predicate: whether this node may be chosen now, as far as the fallback goes. */
  allows(node: TrackedNode): boolean {
    const { now, fallback } = this
    if (fallback < Fallback.ejected && !node.load.admits(now)) return false
    if (this.#except?.has(node)) return this.#hinder()
    const seconds = this.#cooldownKey === undefined ? 0 : node.cooldownSeconds(this.#cooldownKey, now)
    if (seconds > 0) {
      this.leastCooldownSeconds = Math.min(this.leastCooldownSeconds, seconds)
      return this.#hinder()
    }
    const isAdmitted =
      fallback >= Fallback.setAside || this.#outliers === undefined || this.#outliers.admits(node, now, this.#isRetry)
    if (!isAdmitted) return this.#hinder()
    if (this.#isOpen === undefined || this.#isOpen(node)) return true
    ;(this.full ??= new Set()).add(node)
    return false
  }

  #hinder(): false {
    this.isHindered = true
    return false
  }
}

interface EligibilityOptions {
  readonly except?: ReadonlySet<TrackedNode> | undefined
  readonly cooldownKey?: string | undefined
  readonly isOpen?: ((node: TrackedNode) => boolean) | undefined
}
