import { preferredFor } from './affinity.ts'
import { Eligibility, Fallback } from './eligibility.ts'
import type { Fleet } from '../fleet/fleet.ts'
import { comparedKindOf } from './judge.ts'
import type { SelectionContext, SelectNode } from './policies/candidate.ts'
import { rank } from './policies/ranking.ts'
import { isInPanic, lowestScore } from './policies/selection.ts'
import type { Requirement } from './requirement.ts'
import type { TrackedNode } from '../fleet/node.ts'
import { cachesOf } from './warmCaches/fleetCaches.ts'
import type { Prompt } from './warmCaches/prompt.ts'
import type { WarmCandidate, WarmCaches } from './warmCaches/warmCaches.ts'

/** Requirements whose candidates are remembered; past this all are forgotten and found anew. */
const MAX_REMEMBERED_REQUIREMENTS = 1000
/** Longer ones, which only a client makes up, are found anew each time, so that what is remembered stays small. */
const MAX_REMEMBERED_KEY = 1000

export interface PickOptions {
  /** Nodes that were tried already. */
  readonly except?: ReadonlySet<TrackedNode> | undefined
  /** What may be cooling down after a pushback; see `TrackedNode.coolDown`. */
  readonly cooldownKey?: string | undefined
  /** A session that prefers the node it was served by before; see `preferredFor`. Where there is a prompt, that says more. */
  readonly session?: string | undefined
  /** Prefers services that have its beginning in their caches; see `WarmCaches`. */
  readonly prompt?: Prompt | undefined
  /** The job's cost by the client's hint, in the client's own unit. */
  readonly cost?: number | undefined
  /** The kind of work by which backends are compared; default: that of the requirement. */
  readonly kind?: string | undefined
  /** Whether a node has a place for it; default: all have. */
  readonly isOpen?: ((node: TrackedNode) => boolean) | undefined
}

/**
 * Why a node was chosen.
 * - `retried`: others were tried before.
 * - `onlyOne`: there is no other.
 * - `warm`: it has the beginning of the prompt, or the session, in its cache.
 * - `leastLoaded`: it had the lowest score without that.
 */
export type RoutingReason = 'retried' | 'onlyOne' | 'warm' | 'leastLoaded'

/** The answer to "who gets this request?". */
export interface Choice {
  readonly node: TrackedNode | undefined
  readonly reason: RoutingReason
  /** What was known of its cache, where a prompt was chosen for. */
  readonly warm: WarmCandidate<TrackedNode> | undefined
  /** Nodes that could have been chosen, but for want of a place. */
  readonly full: readonly TrackedNode[]
  /** Whether nodes were left out that other requests for the same may go to; see `Eligibility`. */
  readonly isHindered: boolean
  /** Where there is no node: least seconds until one of those that cool down may be asked again, or 0 if none does. */
  readonly cooldownSeconds: number
}

const NONE: readonly TrackedNode[] = []

/** A node and what one more request there would cost, seconds. */
export interface NodeScore {
  readonly node: TrackedNode
  readonly score: number
}

export interface BestNode extends NodeScore {
  /** First characters of the prompt that are in its cache. */
  readonly warmCharacters: number
}

export interface SelectorOptions {
  /** Uniform in [0, 1). */
  readonly random?: () => number
  /** For benchmarks: without all that is known of caches, or with its score alone. Only the policy by score knows of caches. */
  readonly warmCaches?: 'off' | 'noIndex' | undefined
  /** Other gateways that are known to share the clients, such as other workers; default: none. */
  readonly siblings?: (() => number) | undefined
}

/** Chooses among the healthy nodes of a fleet by one policy; the same for requests, look-ups and tickets. */
export class Selector {
  readonly #fleet: Fleet
  readonly #policy: SelectNode
  readonly #random: () => number
  readonly #caches: WarmCaches<TrackedNode> | undefined
  #version = -1
  /** Reachable nodes by requirement. */
  readonly #reachable = new Map<string, readonly TrackedNode[]>()
  /** By requirement, whether more than one node fits, reachable or not. */
  readonly #severalFit = new Map<string, boolean>()

  constructor(
    fleet: Fleet,
    policy: SelectNode = lowestScore,
    { random = Math.random, warmCaches, siblings }: SelectorOptions = {},
  ) {
    this.#fleet = fleet
    this.#policy = policy
    this.#random = random
    if (policy === lowestScore && warmCaches !== 'off')
      this.#caches = cachesOf(fleet, warmCaches !== 'noIndex', siblings)
  }

  /** What is known of the services' caches; undefined where none is kept. */
  get caches(): WarmCaches<TrackedNode> | undefined {
    return this.#caches
  }

  /** Whether it makes a difference for such a request to have a prompt. */
  choosesByPrompt(requirement: Requirement): boolean {
    if (!this.#caches) return false
    if (this.candidates(requirement).length > 1) return true
    // While only one of several is there, what it gets is to be known when the others are back.
    let isOneOfSeveral = this.#severalFit.get(requirement.key)
    if (isOneOfSeveral === undefined) {
      const fits = (node: TrackedNode): boolean => requirement.fits(node)
      isOneOfSeveral = [...this.#fleet.nodes.values()].filter(fits).length > 1
      if (requirement.key.length <= MAX_REMEMBERED_KEY) this.#severalFit.set(requirement.key, isOneOfSeveral)
    }
    return isOneOfSeveral
  }

  /** The best node for a request. Takes nothing: see `Lease`. */
  pick(requirement: Requirement, options: PickOptions = {}): Choice {
    const now = this.#fleet.now()
    const { session, prompt, cost, except, kind = comparedKindOf(requirement) } = options
    const outliers = this.#fleet.outliers.choice(kind, now)
    const eligibility = new Eligibility(now, outliers, options)
    const allows = (node: TrackedNode): boolean => eligibility.allows(node)
    const context = this.#contextOf(requirement, now, cost, allows)
    const reachable = this.candidates(requirement)
    const caches = prompt && this.#caches
    let warm: WarmCandidate<TrackedNode> | undefined
    const choose = (nodes: readonly TrackedNode[]): TrackedNode | undefined => {
      if (!caches) return this.#policy(nodes, context)
      warm = caches.choose(nodes, prompt, context)
      return warm?.service
    }
    let node = session === undefined || caches ? undefined : preferredFor(session, reachable, now, allows)
    const isAtSession = node !== undefined
    node ??= choose(reachable)
    // One that has no place at the moment is better than one that fails.
    if (!node && !eligibility.full) {
      if (outliers) {
        eligibility.fallback = Fallback.setAside
        node = choose(reachable)
      }
      eligibility.fallback = Fallback.ejected
      if (!eligibility.full) node ??= choose(reachable)
      eligibility.fallback = Fallback.unhealthy
      if (!eligibility.full) node ??= choose(this.#whenMostAreUnhealthy(requirement, now))
    }
    const { leastCooldownSeconds, full, isHindered } = eligibility
    return {
      node,
      reason: reasonOf(except, reachable, isAtSession || (warm !== undefined && warm.warmCharacters > 0)),
      warm,
      full: full ? [...full] : NONE,
      isHindered,
      cooldownSeconds: node || leastCooldownSeconds === Infinity ? 0 : leastCooldownSeconds,
    }
  }

  /**
   * The best of some nodes for a request, with its score, whether or not they have places; undefined where there are none.
   *
   * @param nodes that `pick` would choose among
   */
  best(nodes: readonly TrackedNode[], requirement: Requirement, options: PickOptions): BestNode | undefined {
    const now = this.#fleet.now()
    const { prompt, cost } = options
    const context = this.#contextOf(requirement, now, cost)
    if (prompt && this.#caches) {
      const warm = this.#caches.choose(nodes, prompt, context)
      return warm && { node: warm.service, score: warm.score, warmCharacters: warm.warmCharacters }
    }
    const node = this.#policy(nodes, context)
    return node && { node, score: node.load.score(now, context.costRatio, context.kind), warmCharacters: 0 }
  }

  /** The best of those that `pick` chooses among without its fallbacks, best first, with their scores; for people. */
  scores(requirement: Requirement, options: PickOptions, most: number): NodeScore[] {
    const now = this.#fleet.now()
    const { prompt, cost, kind = comparedKindOf(requirement) } = options
    const eligibility = new Eligibility(now, this.#fleet.outliers.choice(kind, now), options)
    const allows = (node: TrackedNode): boolean => eligibility.allows(node)
    const context = this.#contextOf(requirement, now, cost, allows)
    const candidates = this.candidates(requirement)
    if (prompt && this.#caches) {
      const ranked = this.#caches.ranked(candidates, prompt, context).slice(0, most)
      return ranked.map(({ service, score }) => ({ node: service, score }))
    }
    const { costRatio } = context
    return rank(candidates, context, most).map((node) => ({
      node,
      score: node.load.score(now, costRatio, context.kind),
    }))
  }

  /** Best first, for look-ups: only nodes that may be shown as healthy, or where all are ejected those, as in `pick`. */
  rank(requirement: Requirement, n: number, offset: number): TrackedNode[] {
    const now = this.#fleet.now()
    const candidates = this.candidates(requirement)
    const shown = candidates.filter((node) => node.isHealthy(now))
    const healthy = shown.length > 0 ? shown : candidates
    const context = this.#contextOf(requirement, now)
    if (this.#policy === lowestScore) return this.#rankByScore(requirement, healthy, context, n, offset)
    // Another policy only knows how to choose one: the best, then the best of the others, and so on.
    const ranked = new Set<TrackedNode>()
    const allows = (node: TrackedNode): boolean => !ranked.has(node)
    for (let left = n + offset; left > 0; left--) {
      const node = this.#policy(healthy, { ...context, allows })
      if (!node) break
      ranked.add(node)
    }
    return [...ranked].slice(offset)
  }

  #contextOf(
    { kind: nodeKind, workKind }: Requirement,
    now: number,
    cost?: number,
    allows?: (node: TrackedNode) => boolean,
  ): SelectionContext<TrackedNode> {
    const fleet = this.#fleet.loads[nodeKind]
    const kind = fleet.kinds.find(workKind)
    return { now, fleet, random: this.#random, costRatio: fleet.costRatioOf(cost, kind), kind, allows }
  }

  /** Those that are set aside for this kind of work come last: of work that they get by look-ups no answer is seen. */
  #rankByScore(
    requirement: Requirement,
    nodes: readonly TrackedNode[],
    context: SelectionContext<TrackedNode>,
    n: number,
    offset: number,
  ): TrackedNode[] {
    const { outliers } = this.#fleet
    const kind = comparedKindOf(requirement)
    // Also where it is set aside for part of this kind, such as one path of a model.
    const isMeant = (other: string): boolean => other === kind || other.startsWith(`${kind}\n`)
    if (outliers.isActive) outliers.choice(kind, context.now)
    const isAside = (node: TrackedNode): boolean => outliers.isAside(node, isMeant)
    if (!outliers.isActive || !nodes.some(isAside)) return rank(nodes, context, n, offset)
    const good = nodes.filter((node) => !isAside(node))
    const ranked = [...rank(good, context, n + offset), ...rank(nodes.filter(isAside), context, n + offset)]
    return ranked.slice(offset, offset + n)
  }

  /** Reachable nodes that fit, in the order of the lists; the same array until the fleet changes. */
  candidates(requirement: Requirement): readonly TrackedNode[] {
    if (this.#version !== this.#fleet.version || this.#reachable.size > MAX_REMEMBERED_REQUIREMENTS) {
      this.#reachable.clear()
      this.#severalFit.clear()
      this.#version = this.#fleet.version
    }
    let found = this.#reachable.get(requirement.key)
    if (!found) {
      found = [...this.#fleet.nodes.values()].filter(
        (node) => (requirement.isFollowUp === true ? node.isReachable : node.takesWork) && requirement.fits(node),
      )
      if (requirement.key.length <= MAX_REMEMBERED_KEY) this.#reachable.set(requirement.key, found)
    }
    return found
  }

  /**
   * If most of the fleet looks unhealthy at once, our own network is the likelier culprit: whoever fits and
   * does not plainly refuse may be tried. Never for look-ups, and nobody is shown as healthy for it.
   */
  #whenMostAreUnhealthy(requirement: Requirement, now: number): readonly TrackedNode[] {
    // A service's models are only promised while it is healthy.
    const all = [...this.#fleet.nodes.values()].filter((node) => node.isInfernet && node.isInService)
    const unhealthy = all.filter((node) => !node.isHealthy(now)).length
    if (!isInPanic(all.length, unhealthy, this.#fleet.loads.infernet.constants.panicNodes)) return []
    return all.filter((node) => !node.isRefusing && requirement.fits(node))
  }
}

function reasonOf(
  tried: ReadonlySet<TrackedNode> | undefined,
  candidates: readonly TrackedNode[],
  isWarm: boolean,
): RoutingReason {
  if (tried && tried.size > 0) return 'retried'
  if (candidates.length === 1) return 'onlyOne'
  return isWarm ? 'warm' : 'leastLoaded'
}
