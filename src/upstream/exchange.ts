import type { Fleet } from '../fleet/fleet.ts'
import { comparedKindOf, type AskedOfNodes } from '../dispatch/judge.ts'
import { Lease } from '../dispatch/lease.ts'
import type { Requirement } from '../dispatch/requirement.ts'
import type { TrackedNode } from '../fleet/node.ts'
import type { Selector } from '../dispatch/selector.ts'
import type { Answer, BackendRequest } from './attempt.ts'
import { GatewayFault } from '../faults.ts'
import type { RetryBudget } from './retryBudget.ts'

/**
 * After which answers another backend is tried, besides pushbacks; where all have failed, the client gets the words of one.
 * Every backend is tried once.
 */
export interface Elsewhere {
  /** Whether an answer with this status is held back, because `after` may let another backend be tried. */
  holds(status: number, node: TrackedNode): boolean
  /** `pass`: the client gets this answer; `retry`: nothing was run, another is tried; `rerun`: the same, though it may have been run. */
  after(answer: Answer, node: TrackedNode): 'pass' | 'retry' | 'rerun'
  /** Whether an answer with this status gives way to any other, or to a fault, where all have failed. */
  saysLittle?(status: number): boolean
  /** Backends that are tried at most. */
  readonly maxTries?: number
  /** Bounds what may be run twice. */
  readonly budget?: RetryBudget
}

/** What one forwarded request is, apart from the client's connection. Jobs and OpenAI calls fill it in; the proxy layer runs it. */
export interface Exchange {
  /** Whom it may go to. */
  readonly requirement: Requirement
  /** The job's cost by the client's hint. */
  readonly cost?: number | undefined
  /** Who asks: the name behind the key, else the address. */
  readonly caller: string
  /** The kind of work by which backends are compared; default: that of the requirement. */
  readonly kind?: string | undefined
  /** The model, by the name that services list it under. */
  readonly model?: string | undefined
  /** Requests of one session go to the same backend, as long as that costs nothing. */
  readonly session?: string | undefined
  /** Rests after a pushback are kept for this; usually endpoint and caller. */
  readonly restKey: string
  /** What goes to this node; may differ between nodes in path and credentials, never in its bytes. */
  requestFor(node: TrackedNode): BackendRequest
  /**
   * `untilSent`: another node only while nothing was sent; `untilAnswered`: also after a reset or an answer that broke off,
   * because the client accepts a second run.
   */
  readonly retry: 'untilSent' | 'untilAnswered'
  /** Whether an answer is a pushback besides 429 and 503: this node will not, another may. Only asked where another try is allowed. */
  isPushback?(answer: Answer): boolean
  /** False where even a pushback ends the tries, since something was sent. */
  readonly followsPushback: boolean
  /** Without it, another backend is tried only after pushbacks and faults. */
  readonly elsewhere?: Elsewhere
  /** The fault where nobody can take it. */
  noNode(): GatewayFault
}

/** An exchange on its way: who was tried, and what came of it. */
export class Tries {
  readonly tried = new Set<TrackedNode>()
  readonly asked: AskedOfNodes
  /** Least `Retry-After` of those that pushed back with 429, or rest after that, whole seconds, at least 1. */
  leastRetrySeconds = Infinity
  /** Where a node's own words go on: the 429 with the least `Retry-After`, which is at least 1 in it. */
  soonestPushback: { answer: Answer; node: TrackedNode; seconds: number } | undefined
  /** Where a node's own words go on: the first answer that was held back. */
  firstAnswer: { answer: Answer; node: TrackedNode } | undefined
  /** The last pushback that was not a 429: a node's own answer. */
  lastPushback: { answer: Answer; node: TrackedNode } | undefined
  lastFault: GatewayFault | undefined
  /** Failures of nodes that may have taken it. */
  failuresOnceSent = 0
  readonly #exchange: Exchange
  readonly #fleet: Fleet
  readonly #selector: Selector

  constructor(exchange: Exchange, fleet: Fleet, selector: Selector) {
    this.#exchange = exchange
    const { requirement, caller, kind = comparedKindOf(requirement) } = exchange
    this.asked = { requirement, caller, kind }
    this.#fleet = fleet
    this.#selector = selector
  }

  /** Chooses the next node and takes a place there; `undefined` when nobody is left. */
  next(): Lease | undefined {
    const { requirement, restKey, cost, session, elsewhere } = this.#exchange
    if (elsewhere?.maxTries !== undefined && this.tried.size >= elsewhere.maxTries) return undefined
    const { kind } = this.asked
    const pick = this.#selector.pick(requirement, { except: this.tried, restKey, cost, session, kind })
    if (!pick.node) {
      const { restsForSeconds } = pick
      if (restsForSeconds > 0) this.leastRetrySeconds = Math.min(this.leastRetrySeconds, Math.ceil(restsForSeconds))
      return undefined
    }
    this.tried.add(pick.node)
    return Lease.take(this.#fleet, pick.node, this.asked)
  }

  /** Keeps the first answer that was held back, or the first that says more. */
  keepFirst(answer: Answer, node: TrackedNode): void {
    if (!this.firstAnswer || this.#saysLittle(this.firstAnswer)) this.firstAnswer = { answer, node }
  }

  #saysLittle(kept: { answer: Answer } | undefined): boolean {
    return kept !== undefined && this.#exchange.elsewhere?.saysLittle?.(kept.answer.status) === true
  }

  /** What the client hears when no node is left: a fault of ours, or the last node's own refusal. */
  conclusion(): GatewayFault | { answer: Answer; node: TrackedNode } {
    const { firstAnswer, soonestPushback } = this
    if (this.lastFault && this.#saysLittle(firstAnswer)) return this.lastFault
    if (firstAnswer && firstAnswer.answer.status !== 429) return firstAnswer
    // One that was not asked, since it rests, may want less patience than those that were.
    if (soonestPushback && soonestPushback.seconds <= this.leastRetrySeconds) return soonestPushback
    if (this.leastRetrySeconds < Infinity) {
      return new GatewayFault('ERR_NODE_BUSY', undefined, {
        headers: { 'Retry-After': String(this.leastRetrySeconds) },
      })
    }
    return this.lastPushback ?? this.lastFault ?? this.#exchange.noNode()
  }
}
