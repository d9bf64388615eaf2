import type { Fleet } from '../../fleet/fleet.ts'
import type { Lease } from '../../fleet/lease.ts'
import { needContainers } from '../../fleet/need.ts'
import type { Selector } from '../../fleet/selector.ts'
import type { Logger } from '../../fleet/sources/source.ts'
import { Tries, type Exchange } from '../../proxy/exchange.ts'
import { headersOnBehalf } from '../../proxy/headers.ts'
import type { Transport } from '../../proxy/transport.ts'
import { tryNodes, type Outcome } from '../../proxy/tryNodes.ts'
import { idIn } from '../accepted.ts'
import { JOBS_PATH } from '../deps.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { LiveJob, LiveJobs } from '../liveJobs.ts'
import { isNodeSpecificRefusal, noNodeFor } from '../needs.ts'

/** A job runs at most this often. */
const MAX_RUNS = 3
/** A node's own record of a pending job lives this long; a job it forgets then may still run there. */
const NODE_RECORD_SECONDS = 15 * 60
/** The node's clock began a moment before ours. */
const RECORD_TOLERANCE_SECONDS = 5

export interface FailoverOptions {
  readonly fleet: Fleet
  readonly selector: Selector
  readonly transport: Transport
  readonly live: LiveJobs
  readonly ledger: Ledger
  readonly via: string
  readonly logger: Logger
  /** Whether lost jobs are run again at all. */
  readonly isEnabled: boolean
  /** A job with no final state and no node to ask for this long has failed, seconds. */
  readonly jobTimeoutSeconds: number
  /** Replaces `NODE_RECORD_SECONDS` where nodes are set up otherwise. */
  readonly nodeRecordSeconds?: number
}

/** Decides what becomes of a job that its node lost, and runs it again where that is allowed. */
export class Failover {
  readonly #options: FailoverOptions

  constructor(options: FailoverOptions) {
    this.#options = options
  }

  /** The node answers but does not know the job any more. */
  forgotten(job: LiveJob): void {
    const { record } = job
    const ranSeconds = (Date.now() - record.runStartedAt) / 1000
    const expiry = this.#options.nodeRecordSeconds ?? NODE_RECORD_SECONDS
    if (record.kind === 'stream') return this.#fail(job, 'The stream was lost with its node')
    if (this.#seesUsElsewhere(job)) return this.#giveUpInTime(job, 'The node sees the gateway under another address')
    if (ranSeconds >= expiry - RECORD_TOLERANCE_SECONDS) {
      return this.#fail(job, 'The node gave no result in time and its record of the job expired')
    }
    if (!this.#mayRunAgain(job)) return this.#fail(job, 'The node lost the job, and it may not be run again')
    this.#runAgain(job, 'forgotten')
  }

  /** Nothing answers at the node's address. */
  nodeDied(job: LiveJob): void {
    if (job.record.kind === 'stream' || !this.#mayRunAgain(job)) {
      return this.#giveUpInTime(job, 'The node died, and the job may not be run again')
    }
    this.#runAgain(job, 'node died')
  }

  #mayRunAgain({ record }: LiveJob): boolean {
    return this.#options.isEnabled && record.failover && record.kind === 'job'
  }

  /** Jobs belong to the address by which a node saw us; under another one every job is unknown, and none need be lost. */
  #seesUsElsewhere(job: LiveJob): boolean {
    const { localAddress } = job.record
    return localAddress !== '' && job.node.localAddress !== undefined && job.node.localAddress !== localAddress
  }

  #giveUpInTime(job: LiveJob, reason: string): void {
    if ((Date.now() - job.knownAt) / 1000 >= this.#options.jobTimeoutSeconds) this.#fail(job, reason)
  }

  #fail(job: LiveJob, reason: string): void {
    const result = JSON.stringify({ container: job.record.containers[0] ?? '', error: reason })
    const end = { state: 'failed' as const, result: Buffer.from(result), intermediate: undefined }
    this.#options.logger.warn('job failed', { job: job.record.id, node: job.node.name, runs: job.record.runs, reason })
    void this.#options.live.finish(job, end, 0)
  }

  #runAgain(job: LiveJob, why: string): void {
    if (job.record.runs >= MAX_RUNS) return this.#fail(job, `The job was lost with its node ${MAX_RUNS} times`)
    job.isMoving = true
    this.#move(job, why)
      .catch((error: unknown) => this.#options.logger.error('job not moved', { job: job.record.id, error }))
      .finally(() => (job.isMoving = false))
  }

  async #move(job: LiveJob, why: string): Promise<void> {
    const { ledger, live, logger } = this.#options
    const request = await ledger.request(job.record.id)
    if (!request) return this.#fail(job, 'The job was lost with its node, and its request is not kept any more')
    const outcome = await this.#submit(job, Buffer.from(request))
    if (outcome.kind === 'answer' && outcome.answer.status === 200) {
      const accepted = idIn(outcome.answer.body)
      if (accepted) {
        await this.#moved(job, outcome.lease, accepted.id, why)
        return
      }
    }
    if (outcome.kind === 'answer') outcome.lease.exchangeEnded('pushback')
    const refusal = refusalOf(outcome)
    if (refusal) return this.#fail(job, refusal)
    // Nobody could take it now: it stays `running`, and the next look tries again.
    logger.debug('lost job waits for a node', { job: job.record.id, why, live: live.size })
    this.#giveUpInTime(job, 'The job was lost with its node, and no other could take it in time')
  }

  async #moved(job: LiveJob, lease: Lease, nodeJobId: string, why: string): Promise<void> {
    const { live, logger } = this.#options
    const from = job.node.name
    await live.moved(job, { lease, nodeJobId, localAddress: lease.node.localAddress ?? '' })
    lease.exchangeEnded('success')
    logger.info('job runs again', { job: job.record.id, from, node: lease.node.name, run: job.record.runs + 1, why })
  }

  #submit(job: LiveJob, body: Buffer): Promise<Outcome> {
    const { fleet, selector, via } = this.#options
    const { record, node } = job
    const headers = headersOnBehalf(record.clientAddress, record.id, via)
    const submission = { kind: 'job' as const, containers: [...record.containers], requiresProof: false }
    const exchange: Exchange = {
      need: needContainers(record.containers),
      cost: record.cost,
      restKey: `${JOBS_PATH} ${record.caller}`,
      requestFor: (to) => ({ method: 'POST', path: to.spec.basePath + JOBS_PATH, headers, body }),
      retry: 'untilAnswered',
      followsPushback: true,
      isPushback: (answer) => isNodeSpecificRefusal(answer.status, answer.body),
      noNode: () => noNodeFor(submission, fleet),
    }
    const tries = new Tries(exchange, fleet, selector)
    // Elsewhere where there is an elsewhere; a node that is back and alive is better than none.
    tries.tried.add(node)
    const first = tries.next()
    if (!first && !node.contact.isFailing) tries.tried.delete(node)
    return tryNodes(this.#options, exchange, tries, { first })
  }
}

/** Why nobody will ever take the job; `undefined` where waiting may help. */
function refusalOf(outcome: Outcome): string | undefined {
  if (outcome.kind !== 'answer' && outcome.kind !== 'refused') return undefined
  const { status } = outcome.answer
  if (status === 200) return 'The node that was to run the job again gave no id'
  return status === 503 || status === 429
    ? undefined
    : `The job was lost with its node, and another refused it (${status})`
}
