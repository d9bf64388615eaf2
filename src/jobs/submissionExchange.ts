import type { Request } from 'express'
import type { Priority } from '../base/index.ts'
import type { Requirement } from '../dispatch/index.ts'
import type { GatewayFault } from '../faults.ts'
import type { Fleet, TrackedNode } from '../fleet/index.ts'
import {
  type AcceptedWork,
  type Answer,
  type BackendRequest,
  type Exchange,
  type FlatHeaders,
  headersForBackend,
  type RetryPolicy,
} from '../upstream/index.ts'
import { STREAM_PATH, type JobDeps } from './deps.ts'
import type { ReadSubmission } from './readSubmission.ts'
import { isNodeSpecificRefusal, noNodeFor, requirementOf } from './requirements.ts'

/** The headers that go to a node with any of a request's submissions. Made once a request: a client may send many. */
export function jobHeaders({ via }: JobDeps, req: Request): FlatHeaders {
  const headers = headersForBackend(req, { via, contentType: 'application/json' })
  return req.headers['prefer'] === undefined ? headers : withoutPreferences(headers)
}

/** It is the gateway that waits: a node that did would keep the job's id to itself meanwhile. */
function withoutPreferences(headers: FlatHeaders): FlatHeaders {
  return headers.filter((_, index) => headers[index - (index % 2)] !== 'prefer')
}

/** A submission that is about to go to a node. */
export interface Outgoing extends ReadSubmission {
  readonly path: string
  readonly headers: FlatHeaders
  readonly requirement: Requirement
}

/** A submission as it goes out. What it asks of a node may take hashing, in slices. */
export async function outgoingOf(
  deps: JobDeps,
  req: Request,
  path: string,
  { body, submission, by }: ReadSubmission,
): Promise<Outgoing> {
  const requirement = await requirementOf(submission, deps.selector)
  return { path, headers: jobHeaders(deps, req), body, submission, requirement, by }
}

/** How a submission travels, alone, in a batch or as a stream. */
export class SubmissionExchange implements Exchange {
  readonly requirement: Requirement
  readonly cost: number | undefined
  readonly caller: string
  readonly priority: Priority | undefined
  readonly cooldownKey: string
  readonly retry: RetryPolicy
  readonly work: AcceptedWork | undefined
  readonly #outgoing: Outgoing
  readonly #fleet: Fleet

  constructor({ fleet }: JobDeps, outgoing: Outgoing) {
    const { path, submission, requirement, by } = outgoing
    const isStream = path === STREAM_PATH
    this.#outgoing = outgoing
    this.#fleet = fleet
    this.requirement = requirement
    this.cost = by.options.cost
    this.caller = by.caller
    this.priority = by.priority
    this.cooldownKey = `${path} ${by.caller}`
    if (submission.kind === 'subscription') this.retry = SENT_ONCE
    else this.retry = by.options.idempotencyKey === undefined ? RUN_ONCE : MAY_RUN_TWICE
    this.work = submission.kind === 'subscription' ? 'unmeasured' : isStream ? undefined : 'goesOn'
  }

  requestFor(node: TrackedNode): BackendRequest {
    const { path, headers, body } = this.#outgoing
    return { method: 'POST', path: node.spec.basePath + path, headers, body }
  }

  noNode(): GatewayFault {
    return noNodeFor(this.#outgoing.submission, this.#fleet)
  }
}

const isPushback = ({ status, body }: Answer): boolean => isNodeSpecificRefusal(status, body)
/** A node runs what it was sent: another gets the job only while nothing was sent, or after words that it will not. */
const RUN_ONCE: RetryPolicy = { mayRunTwice: false, followsPushback: true, isPushback }
/** The client has said by its Idempotency-Key that a second run is no harm. */
const MAY_RUN_TWICE: RetryPolicy = { mayRunTwice: true, followsPushback: true, isPushback }
/** Whatever a node says, it may have taken the subscription. */
const SENT_ONCE: RetryPolicy = { mayRunTwice: false, followsPushback: false }
