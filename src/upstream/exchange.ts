import type { Priority } from '../base/priority.ts'
import type { Requirement } from '../dispatch/requirement.ts'
import type { Prompt } from '../dispatch/warmCaches/prompt.ts'
import type { TrackedNode } from '../fleet/node.ts'
import type { GatewayFault } from '../faults.ts'
import type { Answer, BackendRequest } from './answer.ts'
import type { RetryBudget } from './retryBudget.ts'

/** What one forwarded request is, apart from the client's connection. Jobs and OpenAI calls fill it in; `Upstream` sends it. */
export interface Exchange {
  /** Whom it may go to. */
  readonly requirement: Requirement
  /** The job's cost by the client's hint. */
  readonly cost?: number | undefined
  /** Who asks: the name behind the key, else the address. */
  readonly caller: string
  /** The priority that it asks for, at most that of the caller's key. */
  readonly priority?: Priority | undefined
  /** The kind of work by which backends are compared; default: that of the requirement. */
  readonly kind?: string | undefined
  /** The model, by the name that services list it under. */
  readonly model?: string | undefined
  /** Requests of one session go to the same backend, as long as that costs nothing. */
  readonly session?: string | undefined
  /** What it generates from; requests that generate nothing have none. */
  readonly prompt?: Prompt | undefined
  /** Cooldowns after a pushback are kept for this; usually endpoint and caller. */
  readonly cooldownKey: string
  /** When another backend is tried. */
  readonly retry: RetryPolicy
  /** What an accepting answer means for the work; default: it is done. */
  readonly work?: AcceptedWork | undefined
  /** What goes to this node; may differ between nodes in path and credentials, never in its bytes. */
  requestFor(node: TrackedNode): BackendRequest
  /** The fault where nobody can take it. */
  noNode(): GatewayFault
}

/**
 * Work that an answer with a status from 200 to 299 does not complete.
 * - `goesOn`: whoever takes the answer ends the work, by `Lease.workEnded`.
 * - `unmeasured`: that it was taken says nothing of how long it takes, and nobody will hear of its end.
 */
export type AcceptedWork = 'goesOn' | 'unmeasured'

/** The retry rule of a kind of request. See `RetryState` for what holds for all of them. */
export interface RetryPolicy {
  /**
   * Whether the client accepts a possible second run: another backend after a reset or an answer that broke off, too. Else only
   * while nothing was sent.
   */
  readonly mayRunTwice: boolean
  /** False where even a pushback ends the tries, since something was sent. */
  readonly followsPushback: boolean
  /** Whether an answer is a pushback besides 429 and 503: this node will not, another may. Only asked where another try is allowed. */
  isPushback?(answer: Answer): boolean
  /** Without it, another backend is tried only after pushbacks and faults. */
  readonly elsewhere?: Elsewhere | undefined
}

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
