import type { IncomingHttpHeaders } from 'node:http'
import type { Fleet, TrackedNode } from '../../fleet/index.ts'
import { type Identity, inTurns, type Logger, type MemoryBudget, type Semaphore } from '../../base/index.ts'
import { GatewayFault } from '../../faults.ts'
import {
  type Answer,
  Attempt,
  type AttemptResult,
  type BackendRequest,
  type CollectResult,
  type Transport,
} from '../../upstream/index.ts'
import type { Ledger, ReceivedResult } from '../../ledger/index.ts'
import type { LiveJob } from '../liveJobs.ts'
import type { Account } from './account.ts'
import { LoneAnswer, type LoneOutcome } from './loneAnswer.ts'
import { nodeJobSteps } from './readAnswer.ts'

/** Long answers of one node that are read at once. */
const MAX_LONG_AT_ONCE = 2
/** First and longest pause after an answer about a job that could not be read or kept, seconds; each is twice the one before. */
const FIRST_PAUSE_SECONDS = 1
const LONGEST_PAUSE_SECONDS = 60
/** Until an answer begins, and between two pieces of it. */
const SILENCE_SECONDS = 5
const IDLE_SECONDS = 30
const SHORT_SECONDS = 10
/** How often a running job is asked for whose intermediate results are long, seconds. */
const BRIEF_PERIOD_SECONDS = 3

export interface LoneAsksOptions {
  readonly fleet: Fleet
  readonly transport: Transport
  readonly memory: MemoryBudget
  readonly ledger: Ledger
  readonly logger: Logger
  readonly identity: Identity
  readonly maxResultBytes: number
  /** Places for long answers of all nodes. */
  readonly longReads: Semaphore
  /** A short answer that takes longer goes on beside other questions, seconds. */
  readonly shortSeconds?: number | undefined
}

/** What the owner does about answers. */
export interface LoneAsksHooks {
  readonly requestFor: (job: LiveJob, withIntermediate: boolean, account: Account) => BackendRequest
  /** Whether the job is still this node's to be asked for. */
  readonly isFollowed: (job: LiveJob) => boolean
  /** The head of an answer: it shows the node's rate limit. */
  readonly onHead: (status: number, headers: IncomingHttpHeaders, account: Account) => void
  /** Tells of a short answer; false where it cannot be read. */
  readonly tell: (job: LiveJob, answer: Answer, account: Account) => Promise<boolean>
  readonly onRunning: (job: LiveJob, account: Account) => void
  readonly onUnknown: (job: LiveJob, account: Account) => void
  /** The job has ended with this result. Settles when the ledger has it. */
  readonly onEnded: (job: LiveJob, state: 'success' | 'failed', received: ReceivedResult) => Promise<unknown>
  readonly onTooLarge: (job: LiveJob) => void
  /** The answer does not tell of the job. */
  readonly onNoAccount: (job: LiveJob) => void
  /** No answer, or one that is no list of jobs. Returns whether other jobs may be asked for. */
  readonly onFailure: (job: LiveJob, result: CollectResult, account: Account) => boolean
}

/** How a job is asked for this time. */
interface Asking {
  readonly leavesOut: Lone['leavesOut']
  readonly account: Account
}

/** A job that is asked for by itself from then on. */
interface Lone {
  /** Not before this time, monotonic seconds. */
  notBefore: number
  pauseSeconds: number
  /** Intermediate results are left out: for the time being because the job runs and they are long, or for good as too large. */
  leavesOut: 'nothing' | 'whileRunning' | 'always'
  /** The try whose long answer is being read. */
  reading: Attempt | undefined
}

/**
 * Asks one node for jobs one by one: those whose answers are long, slow or cannot be read, so that they hold up no other
 * job. A long result is written to the ledger while it arrives, for as long as its bytes keep coming.
 */
export class LoneAsks {
  readonly #node: TrackedNode
  readonly #options: LoneAsksOptions
  readonly #hooks: LoneAsksHooks
  /** In the order in which their turns come. */
  readonly #jobs = new Map<LiveJob, Lone>()
  #longCount = 0

  constructor(node: TrackedNode, options: LoneAsksOptions, hooks: LoneAsksHooks) {
    this.#node = node
    this.#options = options
    this.#hooks = hooks
  }

  /** Whether the job is asked for by itself. */
  has(job: LiveJob): boolean {
    return this.#jobs.has(job)
  }

  /** Whether its answer is arriving: then there is an account of it. */
  isReading(job: LiveJob): boolean {
    return this.#jobs.get(job)?.reading !== undefined
  }

  /** The job whose turn it is. */
  next(): LiveJob | undefined {
    const now = this.#options.fleet.now()
    for (const [job, lone] of this.#jobs) {
      if (lone.reading || now < lone.notBefore) continue
      this.#jobs.delete(job)
      this.#jobs.set(job, lone)
      return job
    }
    return undefined
  }

  remove(job: LiveJob): void {
    const lone = this.#jobs.get(job)
    this.#jobs.delete(job)
    lone?.reading?.abort(new GatewayFault('ERR_NODE_BROKE'))
  }

  stop(): void {
    for (const job of [...this.#jobs.keys()]) this.remove(job)
  }

  /** Asks for one job. Returns whether other jobs of the same look may be asked for; a long answer goes on meanwhile. */
  async ask(job: LiveJob, account: Account): Promise<boolean> {
    const { transport, memory, ledger, maxResultBytes, shortSeconds = SHORT_SECONDS } = this.#options
    const leavesOut = this.#jobs.get(job)?.leavesOut ?? 'nothing'
    const asking = { leavesOut, account }
    const reservation = memory.openOwn('jobs')
    const answer = new LoneAnswer({
      id: job.record.nodeJobId,
      maxResultBytes,
      shortSeconds,
      memory: reservation,
      receive: () => ledger.receive(job.record.caller),
      onHead: (status, headers) => this.#hooks.onHead(status, headers, account),
      mayBeLong: () => this.#takePlace(),
    })
    const attempt = new Attempt(answer, { silenceSeconds: SILENCE_SECONDS, idleSeconds: IDLE_SECONDS })
    answer.belongsTo(attempt)
    transport.dispatch(this.#node, this.#hooks.requestFor(job, leavesOut === 'nothing', account), attempt)
    try {
      const result = await Promise.race([attempt.result, answer.becameLong])
      if (answer.isLong) void this.#readLong(job, asking, attempt, answer)
      else if (result && this.#hooks.isFollowed(job)) return await this.#settled(job, asking, result, answer.outcome)
      return true
    } finally {
      reservation.release()
    }
  }

  async #readLong(job: LiveJob, asking: Asking, attempt: Attempt, answer: LoneAnswer): Promise<void> {
    const { longReads, fleet, logger } = this.#options
    const startedAt = fleet.now()
    if (this.#hooks.isFollowed(job)) this.#loneOf(job).reading = attempt
    else attempt.abort(new GatewayFault('ERR_NODE_BROKE'))
    try {
      const result = await longReads.run(() => {
        answer.letCome()
        return attempt.result
      })
      this.#stopReading(job, attempt)
      // The node gave an account of it all the while.
      job.knownAt += fleet.now() - startedAt
      const { outcome } = answer
      if (outcome?.kind === 'ended') await this.#ended(job, asking.leavesOut, outcome)
      else if (this.#jobs.has(job)) await this.#settled(job, asking, result, outcome)
    } catch (error) {
      logger.error('reading a long answer failed', { job: job.record.id, node: this.#node.name, error })
      if (this.#hooks.isFollowed(job)) this.#pause(job)
    } finally {
      this.#stopReading(job, attempt)
      this.#longCount--
    }
  }

  #stopReading(job: LiveJob, attempt: Attempt): void {
    const lone = this.#jobs.get(job)
    if (lone?.reading === attempt) lone.reading = undefined
  }

  async #ended(job: LiveJob, leavesOut: Lone['leavesOut'], outcome: LoneOutcome & { kind: 'ended' }): Promise<void> {
    const lone = this.#jobs.get(job)
    if (!lone) return outcome.received.drop()
    if (leavesOut === 'whileRunning') {
      // Now that it has ended, its intermediate results belong to it.
      outcome.received.drop()
      lone.leavesOut = 'nothing'
      return
    }
    // Not to be asked for again meanwhile.
    lone.notBefore = Infinity
    await this.#hooks.onEnded(job, outcome.state, outcome.received)
  }

  /** Returns whether other jobs may be asked for. */
  #settled(
    job: LiveJob,
    asking: Asking,
    result: AttemptResult,
    outcome: LoneOutcome | undefined,
  ): boolean | Promise<boolean> {
    const { leavesOut, account } = asking
    switch (outcome?.kind) {
      case 'whole':
        return this.#told(job, asking, outcome)
      case 'running':
        this.#loneOf(job).leavesOut = leavesOut === 'nothing' ? 'whileRunning' : leavesOut
        this.#wait(job, BRIEF_PERIOD_SECONDS)
        this.#hooks.onRunning(job, account)
        return true
      case 'unknown':
        this.#jobs.delete(job)
        this.#hooks.onUnknown(job, account)
        return true
      case 'tooLarge':
        if (outcome.part === 'intermediate') this.#loneOf(job).leavesOut = 'always'
        else this.#hooks.onTooLarge(job)
        return true
      case 'later':
        this.#pause(job)
        return true
      case 'unreadable':
        return this.#noAccount(job)
      default:
        return this.#failed(job, result, account)
    }
  }

  async #told(job: LiveJob, { leavesOut, account }: Asking, answer: Answer): Promise<boolean> {
    const told = leavesOut === 'nothing' ? undefined : await inTurns(nodeJobSteps(answer.body))
    if (!this.#hooks.isFollowed(job)) return true
    const isRunning = told?.some(({ id, status }) => id === job.record.nodeJobId && status === 'running') ?? false
    if (leavesOut === 'whileRunning' && told && told.length > 0 && !isRunning) {
      this.#loneOf(job).leavesOut = 'nothing'
      return true
    }
    if (!(await this.#hooks.tell(job, answer, account))) return this.#noAccount(job)
    if (isRunning) this.#wait(job, BRIEF_PERIOD_SECONDS)
    else this.#jobs.delete(job)
    return true
  }

  #failed(job: LiveJob, result: AttemptResult, account: Account): boolean {
    if (result.kind === 'streamed') return true
    const code = result.kind === 'fault' ? result.fault.code : undefined
    if (code === 'ERR_NODE_BROKE' || code === 'ERR_NODE_SLOW') return this.#noAccount(job)
    return this.#hooks.onFailure(job, result, account)
  }

  #noAccount(job: LiveJob): true {
    this.#pause(job)
    this.#hooks.onNoAccount(job)
    return true
  }

  #takePlace(): boolean {
    if (this.#longCount >= MAX_LONG_AT_ONCE) return false
    this.#longCount++
    return true
  }

  #loneOf(job: LiveJob): Lone {
    let lone = this.#jobs.get(job)
    if (!lone) {
      lone = { notBefore: 0, pauseSeconds: FIRST_PAUSE_SECONDS, leavesOut: 'nothing', reading: undefined }
      this.#jobs.set(job, lone)
    }
    return lone
  }

  #pause(job: LiveJob): void {
    const lone = this.#loneOf(job)
    this.#wait(job, lone.pauseSeconds)
    lone.pauseSeconds = Math.min(2 * lone.pauseSeconds, LONGEST_PAUSE_SECONDS)
  }

  #wait(job: LiveJob, seconds: number): void {
    this.#loneOf(job).notBefore = this.#options.fleet.now() + seconds
  }
}
