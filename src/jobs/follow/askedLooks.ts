import { CallBudget, type Fleet, type TrackedNode } from '../../fleet/index.ts'
import { type Identity, type Logger, type MemoryBudget } from '../../base/index.ts'
import { workKindOf } from '../../dispatch/index.ts'
import { collect, type CollectResult, type Transport } from '../../upstream/index.ts'
import type { Askers } from '../askers.ts'
import type { LiveJob } from '../liveJobs.ts'
import type { Sighting } from './answersInTurn.ts'
import type { EndTimes } from './endTimes.ts'
import { lookRequest, splitIntoCalls } from './lookRequest.ts'
import { gapAt, nextAge, SHORTEST_GAP_SECONDS } from './pace.ts'
import { readNodeJobs } from './readAnswer.ts'

/** Clients of one job that are remembered, so that the look can be on another's account. */
const MAX_ADDRESSES = 8
/** Clients whose budget at the node is remembered. */
const MAX_BUDGETS = 1000
/** Jobs that are due this much later go along, seconds. */
const TOLERANCE_SECONDS = 0.002
/** One job in so many is looked at as often as it may be: when jobs end shows best where nobody presumes to know it. */
const EXPLORE_ONE_IN = 16
const SILENCE_SECONDS = 5
const CALL_TIMEOUT_SECONDS = 10
const MAX_ANSWER_BYTES = 8_000_000

export interface AskedLooksOptions {
  readonly fleet: Fleet
  readonly transport: Transport
  readonly memory: MemoryBudget
  readonly identity: Identity
  readonly askers: Askers
  readonly logger: Logger
  /** Seconds between two looks that nobody asks for. */
  readonly periodSeconds: number
}

/** What the owner knows and does. */
export interface AskedLooksHooks {
  /** When the job was last looked at, monotonic seconds; undefined where it is not to be asked for along with others. */
  readonly lookedAt: (job: LiveJob) => number | undefined
  /** What the node said of jobs that it knows. */
  readonly tell: (sightings: readonly Sighting[]) => void
}

/** That clients want to know of a job. */
interface Question {
  readonly kind: string
  readonly explores: boolean
  /** Who asked since the last look, and will not wait. */
  readonly addresses: Set<string>
  /** The age at which the job is best looked at next, by the look at `lookedAt`. */
  bestAge: number
  lookedAt: number
}

/**
 * Looks at one node that clients bring forward: on the account that they themselves have there, shared by all who ask, and
 * no closer together than the contract says. They tell only of jobs that the node knows; what it means that it does not
 * know one is for the regular looks to find out.
 */
export class AskedLooks {
  readonly #node: TrackedNode
  readonly #options: AskedLooksOptions
  readonly #hooks: AskedLooksHooks
  readonly #endTimes: EndTimes
  /** In the order in which the jobs were looked at. */
  readonly #questions = new Map<LiveJob, Question>()
  readonly #budgets = new Map<string, CallBudget>()
  #timer: NodeJS.Timeout | undefined
  #dueAt = Infinity
  #lastLookAt = -Infinity
  /** After a failure the regular looks come first. */
  #notBefore = -Infinity
  #isLooking = false
  #isStopped = false
  #count = 0

  constructor(node: TrackedNode, endTimes: EndTimes, options: AskedLooksOptions, hooks: AskedLooksHooks) {
    this.#node = node
    this.#endTimes = endTimes
    this.#options = options
    this.#hooks = hooks
  }

  /** A client at this address asks for a job. */
  ask(job: LiveJob, address: string): void {
    const question = this.#questionOf(job)
    if (question.addresses.size < MAX_ADDRESSES) question.addresses.add(address)
    this.#lookBy(this.#dueAtOf(job, question))
  }

  /** Clients wait for a job, at this node or since it was at another one. */
  await(job: LiveJob): void {
    this.#lookBy(this.#dueAtOf(job, this.#questionOf(job)))
  }

  remove(job: LiveJob): void {
    this.#questions.delete(job)
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }

  #questionOf(job: LiveJob): Question {
    let question = this.#questions.get(job)
    if (!question) {
      const explores = this.#count++ % EXPLORE_ONE_IN === 0
      const kind = workKindOf(job.record.containers)
      question = { kind, explores, addresses: new Set(), bestAge: 0, lookedAt: -Infinity }
      this.#questions.set(job, question)
    }
    return question
  }

  /** When the job is to be looked at for its own sake; Infinity where nobody asks for it any more, or it is not to be. */
  #dueAtOf(job: LiveJob, question: Question): number {
    const lookedAt = this.#hooks.lookedAt(job)
    if (lookedAt === undefined || job.end || job.isMoving) return Infinity
    const lookedAge = Math.max(0, lookedAt - job.runStartedAt)
    const isAsked = question.addresses.size > 0
    if (!isAsked && !this.#options.askers.isAwaited(job)) return Infinity
    const soonest = nextAge(lookedAge)
    if (question.lookedAt !== lookedAt) {
      question.bestAge = question.explores ? soonest : this.#endTimes.bestAge(question.kind, lookedAge)
      question.lookedAt = lookedAt
    }
    // Whoever asks wants to know now; where the job is about to end, a little later tells more.
    const isTooLate = isAsked && question.bestAge > soonest + gapAt(soonest)
    return job.runStartedAt + (isTooLate ? soonest : question.bestAge)
  }

  #lookBy(at: number): void {
    const dueAt = Math.max(at, this.#notBefore)
    if (dueAt >= this.#dueAt || this.#isLooking || this.#isStopped) return
    clearTimeout(this.#timer)
    this.#dueAt = dueAt
    const ms = Math.max(0, dueAt - this.#options.fleet.now()) * 1000
    // A fraction of a millisecond would be left out, and the look come too soon.
    this.#timer = setTimeout(() => void this.#look(), Math.ceil(ms))
    this.#timer.unref()
  }

  async #look(): Promise<void> {
    const { logger } = this.#options
    this.#dueAt = Infinity
    this.#isLooking = true
    let soonest = -Infinity
    try {
      soonest = await this.#lookOnce()
    } catch (error) {
      logger.error('looking at jobs that clients ask for failed', { node: this.#node.name, error })
      this.#leaveAlone()
    }
    this.#isLooking = false
    this.#lookBy(Math.max(soonest, this.#nextDueAt()))
  }

  /** Asks for the jobs that are due, unless it is too soon. Returns from when on the next may be asked for. */
  async #lookOnce(): Promise<number> {
    const now = this.#options.fleet.now()
    const due: LiveJob[] = []
    let youngest = Infinity
    for (const [job, question] of this.#questions) {
      if (this.#dueAtOf(job, question) > now + TOLERANCE_SECONDS) continue
      due.push(job)
      youngest = Math.min(youngest, now - job.runStartedAt)
    }
    const [jobs] = splitIntoCalls(this.#node, due, 1)
    if (!jobs) return -Infinity
    const soonest = this.#lastLookAt + gapAt(youngest)
    if (soonest > now) return soonest
    const { address, freeAt } = this.#accountFor(jobs, now)
    if (address === undefined) return freeAt
    this.#lastLookAt = now
    for (const job of jobs) this.#askedFor(job)
    await this.#ask(jobs, address)
    return this.#lastLookAt + SHORTEST_GAP_SECONDS
  }

  /** On whose account these jobs can be asked for now; else from when on. */
  #accountFor(jobs: readonly LiveJob[], now: number): { address?: string; freeAt: number } {
    let freeAt = Infinity
    for (const job of jobs) {
      const asked = this.#questions.get(job)!.addresses
      for (const address of asked.size > 0 ? asked : this.#options.askers.addressesOf(job)) {
        const at = this.#budgets.get(address)?.nextCallAt ?? now
        if (at <= now) return { address, freeAt: now }
        freeAt = Math.min(freeAt, at)
      }
    }
    return { freeAt }
  }

  /** What was asked is about to be answered; who waits goes on waiting. */
  #askedFor(job: LiveJob): void {
    const question = this.#questions.get(job)!
    question.addresses.clear()
    this.#questions.delete(job)
    if (this.#options.askers.isAwaited(job)) this.#questions.set(job, question)
  }

  async #ask(jobs: readonly LiveJob[], address: string): Promise<void> {
    const memory = this.#options.memory.openOwn('jobs')
    try {
      const { transport, identity } = this.#options
      const reset = this.#node.answersInTurn
      const request = lookRequest(this.#node, jobs, { via: identity.via, address, withIntermediate: true, reset })
      const limits = { silenceSeconds: SILENCE_SECONDS, timeoutSeconds: CALL_TIMEOUT_SECONDS }
      const result = await collect(transport, this.#node, request, { ...limits, maxBytes: MAX_ANSWER_BYTES, memory })
      if (!this.#isStopped && !(await this.#tell(jobs, address, result))) this.#leaveAlone()
    } finally {
      memory.release()
    }
  }

  /** False where the answer tells nothing. */
  async #tell(jobs: readonly LiveJob[], address: string, result: CollectResult): Promise<boolean> {
    if (result.kind !== 'answer') return false
    const { status, headers, body } = result.answer
    this.#budgetOf(address).observe(status, headers, this.#options.fleet.now())
    if (status === 429) return true
    const byId = status === 200 ? await readNodeJobs(body) : undefined
    if (!byId || this.#isStopped) return false
    this.#options.fleet.answered(this.#node, { tookWork: false })
    const sightings: Sighting[] = []
    for (const job of jobs) {
      const told = byId.get(job.record.nodeJobId)
      if (told) sightings.push({ job, told })
    }
    this.#hooks.tell(sightings)
    return true
  }

  #leaveAlone(): void {
    this.#notBefore = this.#options.fleet.now() + this.#options.periodSeconds
  }

  #nextDueAt(): number {
    let at = Infinity
    for (const [job, question] of this.#questions) at = Math.min(at, this.#dueAtOf(job, question))
    return at
  }

  #budgetOf(address: string): CallBudget {
    const budget = this.#budgets.get(address) ?? new CallBudget()
    this.#budgets.delete(address)
    this.#budgets.set(address, budget)
    if (this.#budgets.size > MAX_BUDGETS) this.#budgets.delete(this.#budgets.keys().next().value as string)
    return budget
  }
}
