import type { Lease } from '../../dispatch/index.ts'
import { type Logger, type MemoryBudget, type Reservation, Semaphore } from '../../base/index.ts'
import { abandon, type Answer } from '../../upstream/index.ts'
import { idIn } from '../accepted.ts'
import type { JobRecord, Ledger } from '../../ledger/index.ts'
import { isSeenElsewhere, type LiveJob, type LiveJobs } from '../liveJobs.ts'
import { isWanted, mayHaveBegun, resubmit, type ResubmissionOptions } from './resubmission.ts'

/** A job runs at most this often. */
const MAX_RUNS = 3
/** A node's own record of a pending job lives this long; a job it forgets then may still run there. */
const NODE_RECORD_SECONDS = 15 * 60
/** The node's clock began a moment before ours. */
const RECORD_TOLERANCE_SECONDS = 5
/** Jobs that are sent elsewhere at once: a node may leave thousands behind. */
const MAX_MOVES_AT_ONCE = 32
/** A move that waits for a place for longer than this holds up no others. Seconds. */
const MOVE_HOLD_SECONDS = 5
/** Their requests that are read from the ledger at once: how long one is shows only then. */
const MAX_READS_AT_ONCE = 4
const FIRST_PAUSE_SECONDS = 1
const LONGEST_PAUSE_SECONDS = 30

const NOBODY_TOOK_IT = 'The job was lost with its node, and no other could take it in time'
const LOST_WITH_GATEWAY = 'The job was lost with its gateway'

type Loss = 'forgotten' | 'node died' | 'gateway died'

export interface FailoverOptions extends ResubmissionOptions {
  readonly memory: MemoryBudget
  readonly live: LiveJobs
  readonly ledger: Ledger
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
  readonly #moves = new Semaphore(MAX_MOVES_AT_ONCE, MOVE_HOLD_SECONDS)
  readonly #reads = new Semaphore(MAX_READS_AT_ONCE)
  readonly #pauses: Pauses

  constructor(options: FailoverOptions) {
    this.#options = options
    this.#pauses = new Pauses(() => options.fleet.now())
  }

  /** The node answers but does not know the job any more. */
  forgotten(job: LiveJob): void {
    const { record } = job
    if (job.isOrphan) return this.takenOver(job)
    const ranSeconds = this.#options.fleet.now() - job.runStartedAt
    const expiry = this.#options.nodeRecordSeconds ?? NODE_RECORD_SECONDS
    if (isSeenElsewhere(job)) return this.#giveUpInTime(job, 'The node sees the gateway under another address')
    if (job.node.answersInTurn) {
      return this.#giveUpInTime(job, 'Several nodes answer in turn at its address, and none that answered knew the job')
    }
    if (record.kind === 'stream') return this.#fail(job, 'The stream was lost with its node')
    if (ranSeconds >= expiry - RECORD_TOLERANCE_SECONDS) {
      return this.#fail(job, 'The node gave no result in time and its record of the job expired')
    }
    if (!this.#mayRunAgain(job)) return this.#fail(job, 'The node lost the job, and it may not be run again')
    this.#runAgain(job, 'forgotten')
  }

  /** Nothing answers at the node's address. */
  nodeDied(job: LiveJob): void {
    if (!this.#mayRunAgain(job)) {
      return this.#giveUpInTime(job, 'The node died, and the job may not be run again')
    }
    this.#runAgain(job, 'node died')
  }

  /** Its gateway is gone, and its node does not show it to this one: what we see of its node says nothing of it. */
  takenOver(job: LiveJob): void {
    if (!this.#mayRunAgain(job)) return this.#giveUpInTime(job, LOST_WITH_GATEWAY)
    this.#runAgain(job, 'gateway died')
  }

  /** The same for a job that is given up. */
  lostWithGateway(job: LiveJob): void {
    this.#fail(job, LOST_WITH_GATEWAY)
  }

  /** Whether a job whose gateway is gone may be run once more. */
  mayTakeOver(record: JobRecord): boolean {
    return record.runs < MAX_RUNS && this.#mayRunAgain({ record })
  }

  /** The node is there, but says nothing of the job that can be understood. */
  unaccounted(job: LiveJob): void {
    this.#giveUpInTime(job, 'The node gives no account of the job')
  }

  /** The job has a result that is not kept: another run would give no shorter one. */
  resultTooLarge(job: LiveJob, reason: string): void {
    this.#fail(job, reason)
  }

  #mayRunAgain({ record }: Pick<LiveJob, 'record'>): boolean {
    return this.#options.isEnabled && record.failover && record.kind === 'job'
  }

  #giveUpInTime(job: LiveJob, reason: string): void {
    const { fleet, jobTimeoutSeconds } = this.#options
    if (fleet.now() - job.knownAt >= jobTimeoutSeconds) this.#fail(job, reason)
  }

  #fail(job: LiveJob, reason: string): void {
    const result = JSON.stringify({ container: job.record.containers[0] ?? '', error: reason })
    const end = { state: 'failed' as const, result: Buffer.from(result), intermediate: undefined }
    void this.#options.live.finish(job, end, 0)
  }

  #runAgain(job: LiveJob, why: Loss): void {
    if (job.record.runs >= MAX_RUNS) return this.#fail(job, `The job was lost with its node ${MAX_RUNS} times`)
    if (this.#pauses.isPaused(job)) return
    job.isMoving = true
    this.#moves
      .run(() => this.#move(job, why))
      .catch((error: unknown) => {
        this.#pauses.pause(job)
        this.#options.logger.error('job not moved', { job: job.record.id, error })
      })
      .finally(() => (job.isMoving = false))
  }

  async #move(job: LiveJob, why: Loss): Promise<void> {
    // It may have waited its turn for a while.
    if (!this.#isStillLost(job, why)) return
    // A replica that may be taken for dead starts no runs: another one may be about to.
    if (!this.#isSure) return this.#pauses.pause(job)
    if (!isWanted(this.#options, job)) return this.#giveUpInTime(job, NOBODY_TOOK_IT)
    const memory = this.#options.memory.openOwn('jobs')
    try {
      await this.#moveWithin(memory, job, why)
    } finally {
      memory.release()
    }
  }

  async #moveWithin(memory: Reservation, job: LiveJob, why: Loss): Promise<void> {
    const { fits, request } = await this.#reads.run(async () => {
      const request = await this.#options.ledger.request(job.record.id)
      return { request, fits: memory.grow(request?.length ?? 0) === undefined }
    })
    if (!request) return this.#withoutRequest(job)
    // Others are on their way: a later look tries again.
    if (!fits) return this.#pauses.pause(job)
    const outcome = await resubmit(
      this.#options,
      job,
      request,
      memory,
      () => this.#isSure && this.#isStillLost(job, why),
    )
    if (outcome.kind === 'answer' && this.#isAccepted(job, outcome.answer, outcome.lease, why)) return
    if (mayHaveBegun(outcome)) this.#options.live.runLost(job)
    // Nobody could take it now: it stays `running`, and a later look tries again. Its request may be long, hence the pause.
    this.#pauses.pause(job)
    this.#options.logger.debug('lost job waits for a node', { job: job.record.id, why })
    this.#giveUpInTime(job, NOBODY_TOOK_IT)
  }

  #isStillLost(job: LiveJob, why: Loss): boolean {
    if (!this.#options.live.isUnfinished(job)) return false
    if (why === 'node died') return job.node.contact.isDead
    return why !== 'gateway died' || job.isOrphan
  }

  get #isSure(): boolean {
    const { ledger } = this.#options
    return !ledger.shared || (ledger.shared.coordination.membership.isSure && ledger.health().writable)
  }

  /** There is no request in the ledger, or the job is another's by now: a shared ledger gives its owner alone the request. */
  async #withoutRequest(job: LiveJob): Promise<void> {
    const { live } = this.#options
    const { shared } = this.#options.ledger
    const { id } = job.record
    if (shared && (await shared.ownerOf(id)) !== shared.coordination.membership.self) return live.disown(id)
    this.#fail(job, 'The job was lost with its node, and its request is not kept any more')
  }

  #isAccepted(job: LiveJob, { body }: Answer, lease: Lease, why: Loss): boolean {
    const { live, logger } = this.#options
    const nodeJobId = idIn(body)?.id
    if (nodeJobId !== undefined) {
      live.moved(job, { lease, nodeJobId, localAddress: lease.node.localAddress ?? '' })
      const [from, to] = [job.node.name, lease.node.name]
      logger.info('job runs again', { job: job.record.id, from, node: to, run: job.record.runs + 1, why })
    } else abandon(lease)
    return nodeJobId !== undefined
  }
}

/** How long to leave a job alone that nobody would take: a second at first, then twice as long each time. */
class Pauses {
  readonly #pauses = new WeakMap<LiveJob, { until: number; next: number }>()
  readonly #now: () => number

  /** `now` tells monotonic seconds: a clock that is set must neither stop nor hurry anything. */
  constructor(now: () => number) {
    this.#now = now
  }

  isPaused(job: LiveJob): boolean {
    return this.#now() < (this.#pauses.get(job)?.until ?? -Infinity)
  }

  pause(job: LiveJob): void {
    const { next } = this.#pauses.get(job) ?? { next: FIRST_PAUSE_SECONDS }
    this.#pauses.set(job, { until: this.#now() + next, next: Math.min(2 * next, LONGEST_PAUSE_SECONDS) })
  }
}
