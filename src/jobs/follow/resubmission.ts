import { type Reservation, withTimeout } from '../../base/index.ts'
import { GatewayFault } from '../../faults.ts'
import type { Fleet } from '../../fleet/index.ts'
import { requireContainers, type Requirement, type Selector } from '../../dispatch/index.ts'
import {
  type Attempt,
  type Exchange,
  headersOnBehalf,
  type CollectedOutcome,
  type RetryPolicy,
  type Upstream,
} from '../../upstream/index.ts'
import { JOBS_PATH } from '../deps.ts'
import type { JobRecord } from '../../ledger/index.ts'
import type { LiveJob } from '../liveJobs.ts'

/** A node accepts a job at once, before it runs; one that is silent for longer hangs. */
const ANSWER_TIMEOUT_SECONDS = 10

export interface ResubmissionOptions {
  readonly fleet: Fleet
  readonly selector: Selector
  readonly upstream: Upstream
  readonly via: string
}

/**
 * Sends a job that its node lost to another one, on behalf of its client; to the same node only where that is alive and
 * nobody else takes it. Never rejects. The work of an answer goes on: whoever takes it ends it.
 *
 * @param isStillLost asked before it is sent: it may have waited for a place
 */
export async function resubmit(
  { upstream, via }: ResubmissionOptions,
  job: LiveJob,
  body: Buffer,
  memory: Reservation,
  isStillLost: () => boolean,
): Promise<CollectedOutcome> {
  const exchange = exchangeFor(job.record, body, via, isStillLost)
  const state = upstream.begin(exchange)
  const options = { state, onAttempt: limitWait, memory }
  state.tried.add(job.node)
  const elsewhere = await upstream.send(exchange, options)
  if (mayHaveBegun(elsewhere) || job.node.contact.isFailing || !isStillLost()) return elsewhere
  state.tried.delete(job.node)
  return upstream.send(exchange, options)
}

/** Whether a run may have begun of which nobody will tell: the request was sent, and no answer with an id came. */
export function mayHaveBegun(outcome: CollectedOutcome): boolean {
  if (outcome.kind === 'fault') return outcome.sent && !outcome.fault.fault.nothingSent
  return outcome.kind === 'answer'
}

/** Whether there is anybody to ask for a job that its node lost. */
export function isWanted({ selector }: ResubmissionOptions, { record, node }: LiveJob): boolean {
  const candidates = selector.candidates(requirementFor(record))
  return candidates.some((candidate) => candidate !== node || !node.contact.isFailing)
}

function requirementFor(record: JobRecord): Requirement {
  return whileHealthy(requireContainers(record.containers))
}

function exchangeFor(record: JobRecord, body: Buffer, via: string, isStillLost: () => boolean): Exchange {
  const headers = headersOnBehalf(record.clientAddress, record.id, via)
  return {
    requirement: requirementFor(record),
    cost: record.cost,
    caller: record.caller,
    cooldownKey: `${JOBS_PATH} ${record.caller}`,
    requestFor: (to) => {
      // It may have waited for its place, and its node may be back by now.
      if (!isStillLost()) throw new GatewayFault('ERR_CLIENT_GONE', 'The job is not lost any more')
      return { method: 'POST', path: to.spec.basePath + JOBS_PATH, headers, body }
    },
    retry: RUN_ONCE,
    work: 'goesOn',
    // Nobody sees it.
    noNode: () => new GatewayFault('ERR_NO_NODE'),
  }
}

/**
 * Every request that was sent may be a run, and those are counted. Some node took this job before: one that does not has a
 * reason of its own.
 */
const RUN_ONCE: RetryPolicy = {
  mayRunTwice: false,
  followsPushback: true,
  isPushback: (answer) => answer.status !== 200,
}

/** A lost job can wait; a node that may be in trouble itself could cost it a run. */
function whileHealthy(requirement: Requirement): Requirement {
  return {
    ...requirement,
    key: `healthy ${requirement.key}`,
    fits: (node) => node.isReachable && requirement.fits(node),
  }
}

function limitWait(attempt: Attempt): void {
  void withTimeout(attempt.result, ANSWER_TIMEOUT_SECONDS).then((isAnswered) => {
    if (!isAnswered) attempt.abort(new GatewayFault('ERR_NODE_SILENT'))
  })
}
