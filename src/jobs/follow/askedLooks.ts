import { CallBudget, type Fleet, type TrackedNode } from '../../fleet/index.ts'
import type { Logger } from '../../base/index.ts'
import { workKindOf } from '../../dispatch/index.ts'
import type { Askers } from '../askers.ts'
import type { LiveJob } from '../liveJobs.ts'
import type { Account } from './account.ts'
import type { EndTimes } from './endTimes.ts'
import { splitIntoCalls } from './lookRequest.ts'
import { gapAt, nextAge, SHORTEST_GAP_SECONDS } from './pace.ts'

/** Clients of one job that are remembered, so that the look can be on another's account. */
const MAX_ADDRESSES = 8
/** Clients whose budget at the node is remembered. */
const MAX_ACCOUNTS = 1000
/** Predictions may be wrong: a look is put off for at most this many times the shortest gap. */
const LONGEST_WAIT_RATIO = 3
/** Calls that are left to the client itself. */
const RESERVE_CALLS = 1
/** Jobs that are due within this time join the current look, because a look of their own could not come sooner, seconds. */
const GOES_ALONG_SECONDS = SHORTEST_GAP_SECONDS / 2
/** One question in 16 ignores predictions and looks as often as allowed, which keeps the predictions correct. */
const EXPLORE_ONE_IN = 16

export interface AskedLooksOptions {
  readonly fleet: Fleet
  readonly askers: Askers
  readonly logger: Logger
  /** Seconds between two regular looks. */
  readonly periodSeconds: number
}

/** What the owner knows and does. */
export interface AskedLooksHooks {
  /** When the job was last looked at, monotonic seconds; undefined where it is not to be asked for at present. */
  readonly lookedAt: (job: LiveJob) => number | undefined
  /** Asks the node for jobs. False where that told nothing. */
  readonly ask: (jobs: readonly LiveJob[], account: Account) => Promise<boolean>
}

/** What is known of a job that clients ask about. */
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
  /** The one used last comes last. */
  readonly #accounts = new Map<string, Account>()
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

  /** A client at this address asks for a job, and will not wait. */
  ask(job: LiveJob, address: string): void {
    const question = this.#questionOf(job)
    if (question.addresses.size < MAX_ADDRESSES) question.addresses.add(address)
    this.#lookFor(job, question, address)
  }

  /** A client at this address waits for a job. */
  await(job: LiveJob, address: string): void {
    this.#lookFor(job, this.#questionOf(job), address)
  }

  /** A job has come to this node for which clients wait already. */
  awaited(job: LiveJob): void {
    this.#lookBy(this.#dueAtOf(job, this.#questionOf(job)))
  }

  #lookFor(job: LiveJob, question: Question, address: string): void {
    this.#lookBy(Math.max(this.#dueAtOf(job, question), this.#accountOf(address).budget.nextCallAt))
  }

  /** Plans the next look anew: jobs that could not be asked for may be free again. */
  resume(): void {
    this.#lookBy(this.#nextDueAt())
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

  /** Time of the next look at the job, monotonic seconds; Infinity while no client asks for it or a look is not possible. */
  #dueAtOf(job: LiveJob, question: Question): number {
    const lookedAt = this.#hooks.lookedAt(job)
    if (lookedAt === undefined || job.end || job.isMoving) return Infinity
    const lookedAge = Math.max(0, lookedAt - job.runStartedAt)
    const isAsked = question.addresses.size > 0
    if (!isAsked && !this.#options.askers.isAwaited(job)) return Infinity
    const soonest = nextAge(lookedAge)
    if (question.lookedAt !== lookedAt) {
      const best = question.explores ? soonest : this.#endTimes.bestAge(question.kind, lookedAge)
      question.bestAge = Math.min(best, lookedAge + LONGEST_WAIT_RATIO * (soonest - lookedAge))
      question.lookedAt = lookedAt
    }
    // Whoever asks wants an answer now; a short delay is worth it where the job is about to end.
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
      if (this.#dueAtOf(job, question) > now + GOES_ALONG_SECONDS) continue
      due.push(job)
      youngest = Math.min(youngest, now - job.runStartedAt)
    }
    if (due.length === 0) return -Infinity
    const soonest = this.#lastLookAt + gapAt(youngest)
    if (soonest > now) return soonest
    const { account, first, freeAt } = this.#accountFor(due, now)
    if (!account) return freeAt
    // The job of whoever pays comes first, for not all may fit into the call.
    const [jobs] = splitIntoCalls(this.#node, [first!, ...due.filter((job) => job !== first)], 1)
    if (!jobs) return -Infinity
    this.#lastLookAt = now
    for (const job of jobs) this.#askedFor(job)
    if (!(await this.#hooks.ask(jobs, account))) this.#leaveAlone()
    return this.#lastLookAt + SHORTEST_GAP_SECONDS
  }

  /** On whose account the jobs can be asked for now, and for which of them it is; else from when on they can be. */
  #accountFor(jobs: readonly LiveJob[], now: number): { account?: Account; first?: LiveJob; freeAt: number } {
    let freeAt = Infinity
    for (const job of jobs) {
      const asked = this.#questions.get(job)!.addresses
      for (const address of asked.size > 0 ? asked : this.#options.askers.addressesOf(job)) {
        const account = this.#accountOf(address)
        const at = account.budget.nextCallAt
        if (at <= now) return { account, first: job, freeAt: now }
        freeAt = Math.min(freeAt, at)
      }
    }
    return { freeAt }
  }

  /** The question is about to be answered, except for those who wait. */
  #askedFor(job: LiveJob): void {
    const question = this.#questions.get(job)!
    question.addresses.clear()
    this.#questions.delete(job)
    if (this.#options.askers.isAwaited(job)) this.#questions.set(job, question)
  }

  #leaveAlone(): void {
    this.#notBefore = this.#options.fleet.now() + this.#options.periodSeconds
  }

  #nextDueAt(): number {
    let at = Infinity
    for (const [job, question] of this.#questions) at = Math.min(at, this.#dueAtOf(job, question))
    return at
  }

  #accountOf(address: string): Account {
    const account = this.#accounts.get(address) ?? { address, budget: new CallBudget(RESERVE_CALLS), isOwn: false }
    this.#accounts.delete(address)
    this.#accounts.set(address, account)
    if (this.#accounts.size > MAX_ACCOUNTS) this.#accounts.delete(this.#accounts.keys().next().value as string)
    return account
  }
}
