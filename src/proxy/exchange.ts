import type { Fleet } from '../fleet/fleet.ts'
import { Lease } from '../fleet/lease.ts'
import type { Need } from '../fleet/need.ts'
import type { TrackedNode } from '../fleet/node.ts'
import type { Pick, Selector } from '../fleet/selector.ts'
import type { Answer, BackendRequest } from './attempt.ts'
import { GatewayFault } from '../faults.ts'

/** What one forwarded request is, apart from the client's connection. Jobs and OpenAI calls fill it in; the proxy layer runs it. */
export interface Exchange {
  /** Whom it may go to. */
  readonly need: Need
  /** The job's cost by the client's hint. */
  readonly cost?: number | undefined
  /** Requests of one session go to the same backend, as long as that costs nothing. */
  readonly session?: string | undefined
  /** Where all that could take it are resting, one is asked all the same, because its own refusal says more than ours. */
  readonly asksResting?: boolean
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
  /** The fault where nobody can take it. */
  noNode(): GatewayFault
}

/** An exchange on its way: who was tried, and what came of it. */
export class Tries {
  readonly tried = new Set<TrackedNode>()
  /** Least `Retry-After` of those that pushed back with 429, seconds. */
  leastRetrySeconds = Infinity
  /** Where a node's own words go on: the 429 with the least `Retry-After`, which is at least 1 in it. */
  soonestPushback: { answer: Answer; node: TrackedNode } | undefined
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
    this.#fleet = fleet
    this.#selector = selector
  }

  /** Chooses the next node and takes a place there; `undefined` when nobody is left. */
  next(): Lease | undefined {
    const { need, restKey, cost, session, asksResting = false } = this.#exchange
    const options = { except: this.tried, cost, session }
    let pick: Pick = this.#selector.pick(need, { ...options, restKey })
    if (!pick.node && pick.restsForSeconds > 0 && asksResting) pick = this.#selector.pick(need, options)
    if (!pick.node) {
      if (pick.restsForSeconds > 0) this.leastRetrySeconds = Math.min(this.leastRetrySeconds, pick.restsForSeconds)
      return undefined
    }
    this.tried.add(pick.node)
    return Lease.take(this.#fleet, pick.node)
  }

  /** What the client hears when no node is left: a fault of ours, or the last node's own refusal. */
  conclusion(): GatewayFault | { answer: Answer; node: TrackedNode } {
    if (this.soonestPushback) return this.soonestPushback
    if (this.#exchange.asksResting && this.lastPushback) return this.lastPushback
    if (this.leastRetrySeconds < Infinity) {
      const seconds = Math.max(1, Math.ceil(this.leastRetrySeconds))
      return new GatewayFault('ERR_NODE_BUSY', undefined, { headers: { 'Retry-After': String(seconds) } })
    }
    return this.lastPushback ?? this.lastFault ?? this.#exchange.noNode()
  }
}

/** Longer is not waited for; it also keeps timers in their range. */
const MAX_RETRY_AFTER_SECONDS = 3600

/** When an answer was written, by the clock of its writer: its `Retry-After` may be a date of that clock. Else by ours. */
export function writtenAtMs(headers: { readonly date?: string | undefined }): number {
  const written = Date.parse(headers.date ?? '')
  return Number.isNaN(written) ? Date.now() : written
}

/** Reads `Retry-After` in seconds or as a date (RFC 9110, 10.2.3); from 1 to 3600, and 1 where it is missing or nonsense. */
export function retryAfterSeconds(header: string | undefined, nowMs: number): number {
  if (header === undefined) return 1
  const seconds = /^\d+(\.\d+)?$/.test(header) ? Number(header) : (Date.parse(header) - nowMs) / 1000
  return Number.isFinite(seconds) ? Math.min(Math.max(1, Math.ceil(seconds)), MAX_RETRY_AFTER_SECONDS) : 1
}
