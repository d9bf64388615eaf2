import { setTimeout as sleep } from 'node:timers/promises'
import { workKindOf } from '../../dispatch/index.ts'
import { CallBudget, type TrackedNode } from '../../fleet/index.ts'
import type { Reservation } from '../../base/index.ts'
import { type Answer, type BackendRequest, collect, type CollectResult } from '../../upstream/index.ts'
import { isSeenElsewhere, type LiveJob } from '../liveJobs.ts'
import { AnswersInTurn, type Sighting } from './answersInTurn.ts'
import { LoneAsks } from './loneAsks.ts'
import type { NodeFollowerOptions } from './nodeFollowerOptions.ts'
import type { Account } from './account.ts'
import { AskedLooks } from './askedLooks.ts'
import { EndTimes } from './endTimes.ts'
import { lookRequest, type LookOutcome, splitIntoCalls } from './lookRequest.ts'
import { hasEnded, readNodeJobs, runningJob } from './readAnswer.ts'

/** A node that says nothing for this long is not there; results may be long and lines slow, so the whole may take longer. */
const SILENCE_SECONDS = 5
const CALL_TIMEOUT_SECONDS = 60
/** An answer about several jobs that is longer is asked for in halves, so that one look takes no more memory. */
const MAX_ANSWER_BYTES = 8_000_000
/** Jobs whose client left a stream: nobody waits, so after their first looks they are asked for rarely. Multiple of the period. */
const SELDOM = 15
/** Enough to hear of a node that cancels at once, or does not know the job any more. */
const FIRST_LOOKS = 3
/** Further calls of one look to tell answers that cannot be read from those beside them: enough to find one in 200 jobs. */
const MAX_DIVISIONS = 10
/**
 * Before jobs count as unknown they are asked for this many times more, each time over another connection: where several
 * nodes answer in turn at one address, another one of them may know them.
 */
const VERIFYING_CALLS = 4
/** Time between these calls, as a share of the period: they are over before the next look. */
const VERIFYING_PAUSE = 1 / 6

/** Asks one node for all its unfinished jobs, once a period while there are any, within its rate limit. */
export class NodeFollower {
  readonly node: TrackedNode
  readonly #options: NodeFollowerOptions
  readonly #jobs = new Map<LiveJob, { lookedAt: number; looks: number }>()
  readonly #account: Account
  /** Jobs that are being asked for, and since when: whatever the answer, it comes once. */
  readonly #inCalls = new Map<LiveJob, number>()
  /** Jobs that a client had asked for when it was their turn: the next turn is theirs before any client's. */
  readonly #skipped = new Set<LiveJob>()
  #timer: NodeJS.Timeout | undefined
  #dueAt = Infinity
  #lastLookAt = -Infinity
  #isLooking = false
  #isStopped = false
  #quietLooks = 0
  readonly #lone: LoneAsks
  readonly #asked: AskedLooks
  readonly #endTimes = new EndTimes()
  /** Parts of answers that could not be read as a whole, to be asked for in the next look. */
  #rest: (readonly LiveJob[])[] = []
  #divisions = 0
  readonly #turns = new AnswersInTurn()
  /** Jobs that the node did not know at this look, until they were asked for again. */
  readonly #unknown = new Set<LiveJob>()
  #isAskingAgain = false

  constructor(node: TrackedNode, options: NodeFollowerOptions) {
    this.node = node
    this.#options = options
    this.#account = { address: options.identity.address, budget: new CallBudget(), isOwn: true }
    const { onReceived, onTooLarge, onNoAccount } = options
    this.#lone = new LoneAsks(node, options, {
      requestFor: (job, withIntermediate, account) => this.#request([job], withIntermediate, account),
      isFollowed: (job) => !this.#isStopped && this.#jobs.has(job),
      onHead: (status, headers, account) => this.#heard({ status, headers }, account),
      tell: (job, answer, account) => this.#tell([job], answer, account),
      onRunning: (job, account) => this.#sight([{ job, told: runningJob(job.record.nodeJobId) }], account),
      onUnknown: (job, account) => this.#sight([{ job, told: undefined }], account),
      onEnded: (job, state, received) => {
        this.#compare([{ job, told: { ...runningJob(job.record.nodeJobId), status: state } }])
        this.#unknown.delete(job)
        return onReceived(job, state, received, this.#sinceLook(job))
      },
      onTooLarge,
      onNoAccount: (job) => onNoAccount([job]),
      onFailure: (_job, result, account) => this.#failed(result, account) === 'goOn',
    })
    this.#asked = new AskedLooks(node, this.#endTimes, options, {
      lookedAt: (job) => (this.#isTaken(job) ? undefined : this.#jobs.get(job)?.lookedAt),
      ask: (jobs, account) => this.#ask(jobs, account),
    })
  }

  get size(): number {
    return this.#jobs.size
  }

  add(job: LiveJob): void {
    const { fleet, periodSeconds } = this.#options
    const now = fleet.now()
    this.#jobs.set(job, { lookedAt: now, looks: 0 })
    // A short job may well end within the first half of a period.
    this.#lookBy(Math.max(this.#lastLookAt + periodSeconds, now + periodSeconds / 2))
    if (this.#options.askers.isAwaited(job)) this.#asked.awaited(job)
  }

  remove(job: LiveJob): void {
    this.#jobs.delete(job)
    this.#unknown.delete(job)
    this.#skipped.delete(job)
    this.#lone.remove(job)
    this.#asked.remove(job)
  }

  /** A client asks for a job, and waits for its end or not. */
  want(job: LiveJob, address: string, { waits }: { waits: boolean }): void {
    if (!this.#jobs.has(job)) return
    if (waits) this.#asked.await(job, address)
    else this.#asked.ask(job, address)
  }

  /** Whether it is not for clients to bring a look at the job forward at present. */
  #isTaken(job: LiveJob): boolean {
    return this.#lone.has(job) || this.#inCalls.has(job) || this.#unknown.has(job) || this.#skipped.has(job)
  }

  /** Brings the next look forward to this long after the last one (seconds), as far as the node's rate limit allows. */
  lookSoon(pauseSeconds = this.#options.periodSeconds): void {
    this.#lookBy(this.#lastLookAt + Math.min(pauseSeconds, this.#options.periodSeconds))
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
    this.#lone.stop()
    this.#asked.stop()
  }

  #lookBy(at: number): void {
    const dueAt = Math.max(at, this.#account.budget.nextCallAt)
    if (this.#isLooking || this.#isStopped || dueAt >= this.#dueAt) return
    clearTimeout(this.#timer)
    this.#dueAt = dueAt
    this.#timer = setTimeout(() => void this.#look(), Math.max(0, dueAt - this.#options.fleet.now()) * 1000)
    this.#timer.unref()
  }

  async #look(): Promise<void> {
    const { fleet, logger, onNoAccount, periodSeconds } = this.#options
    this.#isLooking = true
    this.#lastLookAt = fleet.now()
    this.#divisions = 0
    try {
      for (const chunk of this.#chunks()) if (!(await this.#ask(chunk, this.#account))) break
      await this.#askAgain()
    } catch (error) {
      logger.error('looking at jobs failed', { node: this.node.name, error })
      onNoAccount(this.#unread())
    }
    this.#isLooking = false
    this.#asked.resume()
    this.#dueAt = Infinity
    if (this.#jobs.size > 0) this.#lookBy(this.#lastLookAt + periodSeconds)
  }

  /** The jobs whose turn it is, longest unseen first, as many calls as the node's budget bears. */
  #chunks(): (readonly LiveJob[])[] {
    this.#quietLooks++
    const rest = this.#rest.splice(0, this.#account.budget.burst)
    const inRest = new Set([...rest, ...this.#rest].flat())
    const isSeldom = this.#quietLooks % SELDOM !== 0
    const due = [...this.#jobs].filter(([job, { looks }]) => {
      const isLeft = job.record.clientGone === true && looks >= FIRST_LOOKS
      return !this.#lone.has(job) && !inRest.has(job) && !(isLeft && isSeldom)
    })
    due.sort(([, a], [, b]) => a.lookedAt - b.lookedAt)
    const jobs = due.map(([job]) => job)
    const chunks = splitIntoCalls(this.node, jobs, this.#account.budget.burst - rest.length)
    const lone = this.#lone.next()
    return [...rest, ...chunks, ...(lone ? [[lone]] : [])]
  }

  /** Asks for unknown jobs, or for a part of them, a few times more; if no answer knows them, they count as unknown. */
  async #askAgain(): Promise<void> {
    this.#isAskingAgain = true
    // By chance, where it is known that nodes take turns: a regular number of calls could meet the same ones for ever.
    const calls = this.node.answersInTurn ? Math.round(Math.random()) : VERIFYING_CALLS
    for (let n = 0; n < calls && this.#unknown.size > 0; n++) {
      await sleep(this.#options.periodSeconds * VERIFYING_PAUSE * 1000, undefined, { ref: false })
      const [chunk] = splitIntoCalls(this.node, [...this.#unknown], 1)
      // Where the node's limit is near, fewer calls have to do.
      if (!chunk || this.#isStopped || this.#account.budget.nextCallAt > this.#options.fleet.now()) break
      if (!(await this.#ask(chunk, this.#account))) break
    }
    this.#isAskingAgain = false
    const unknown = [...this.#unknown]
    this.#unknown.clear()
    if (this.#isStopped || this.node.contact.isFailing) return
    for (const job of unknown) this.#options.onLook(job, undefined, 0)
  }

  /** All jobs but those whose answers are arriving. */
  #unread(): LiveJob[] {
    return [...this.#jobs.keys()].filter((job) => !this.#lone.isReading(job))
  }

  /** Asks for these jobs, but for those that are being asked for. False where no others should be. */
  async #ask(wanted: readonly LiveJob[], account: Account): Promise<boolean> {
    const startedAt = this.#options.fleet.now()
    const jobs: LiveJob[] = []
    for (const job of wanted) {
      if (!this.#jobs.has(job)) continue
      const isFree = !this.#inCalls.has(job)
      if (account.isOwn) this.#skipped[isFree ? 'delete' : 'add'](job)
      if (!isFree) continue
      this.#inCalls.set(job, startedAt)
      jobs.push(job)
    }
    if (jobs.length === 0) return true
    let outcome: LookOutcome
    try {
      outcome = await this.#askOnce(jobs, account)
    } finally {
      for (const job of jobs) this.#inCalls.delete(job)
      this.#asked.resume()
    }
    // What cannot be read the regular looks sort out.
    return outcome === 'unreadable' ? account.isOwn && this.#divide(jobs) : outcome === 'goOn'
  }

  async #askOnce(jobs: readonly LiveJob[], account: Account): Promise<LookOutcome> {
    if (jobs.length === 1) return (await this.#lone.ask(jobs[0]!, account)) ? 'goOn' : 'stop'
    const memory = this.#options.memory.openOwn('jobs')
    try {
      const result = await this.#call(jobs, memory, account)
      if (this.#isStopped) return 'stop'
      if (result.kind === 'fault' && result.fault.code === 'ERR_NODE_BROKE') return 'unreadable'
      if (result.kind === 'answer') this.#heard(result.answer, account)
      if (result.kind !== 'answer' || result.answer.status !== 200) return this.#failed(result, account)
      return (await this.#tell(jobs, result.answer, account)) ? 'goOn' : 'unreadable'
    } finally {
      memory.release()
    }
  }

  #heard({ status, headers }: Pick<Answer, 'status' | 'headers'>, { budget }: Account): void {
    const { fleet } = this.#options
    fleet.answered(this.node, { tookWork: false })
    budget.observe(status, headers, fleet.now())
  }

  /** No answer, or one that is no list of jobs. */
  #failed(result: CollectResult, account: Account): 'goOn' | 'stop' {
    const { fleet, onSilence, onNoAccount } = this.#options
    if (this.#isStopped) return 'stop'
    if (result.kind === 'answer') {
      // A client that asked too often keeps nobody else from asking.
      if (result.answer.status === 429) return account.isOwn ? 'stop' : 'goOn'
      onNoAccount(this.#unread())
    } else if (result.fault.fault.source === 'upstream') {
      fleet.failed(this.node, result.fault.message, { refused: result.refused, lost: true })
      // Nobody is there for any of them, not for those of this call alone.
      onSilence(this.node, this.#unread())
    }
    // The gateway's own fault, such as no room for the answer: the next look asks again.
    return 'stop'
  }

  /** After an answer that could not be read, or not to its end: one result must not hide the others. */
  async #divide(jobs: readonly LiveJob[]): Promise<boolean> {
    const middle = jobs.length >> 1
    const halves = [jobs.slice(0, middle), jobs.slice(middle)] as const
    const isWithinBudget = this.#account.budget.nextCallAt <= this.#options.fleet.now()
    if (++this.#divisions > MAX_DIVISIONS || !isWithinBudget) {
      this.#rest.push(...halves)
      return false
    }
    if (await this.#ask(halves[0], this.#account)) return this.#ask(halves[1], this.#account)
    this.#rest.push(halves[1])
    return false
  }

  #request(jobs: readonly LiveJob[], withIntermediate: boolean, { address }: Account): BackendRequest {
    const { via } = this.#options.identity
    // The next call has a connection of its own, which may lead to another node.
    const reset = this.#isAskingAgain || this.node.answersInTurn
    return lookRequest(this.node, jobs, { via, address, withIntermediate, reset })
  }

  #call(jobs: readonly LiveJob[], memory: Reservation, account: Account): Promise<CollectResult> {
    return collect(this.#options.transport, this.node, this.#request(jobs, true, account), {
      silenceSeconds: SILENCE_SECONDS,
      timeoutSeconds: CALL_TIMEOUT_SECONDS,
      maxBytes: MAX_ANSWER_BYTES,
      memory,
    })
  }

  /** False where the answer cannot be read. */
  async #tell(jobs: readonly LiveJob[], answer: Answer, account: Account): Promise<boolean> {
    const byId = await readNodeJobs(answer.body)
    if (!byId) return false
    if (this.#isStopped) return true
    const sightings = jobs.map((job) => ({ job, told: byId.get(job.record.nodeJobId) }))
    this.#sight(sightings, account)
    return true
  }

  #sight(all: readonly Sighting[], { isOwn }: Account): void {
    const sightings = all.filter(({ job, told }) => this.#jobs.has(job) && (isOwn || told !== undefined))
    if (isOwn) this.#compare(sightings)
    for (const sighting of sightings) this.#pass(sighting)
  }

  /** Looks for signs that several nodes answer at this address, in the whole answer, before anything is done about its jobs. */
  #compare(sightings: readonly Sighting[]): void {
    const { fleet } = this.#options
    const comparable = sightings.filter(({ job }) => !job.isMoving && !job.end && !isSeenElsewhere(job))
    if (comparable.length === 0) return
    const isSeen = this.#turns.observe(comparable, fleet.now())
    if (isSeen === this.node.answersInTurn) return
    this.node.answersInTurn = isSeen
    fleet.emit('node:in-turn', this.node, isSeen)
  }

  #pass({ job, told }: Sighting): void {
    const seen = this.#jobs.get(job)
    if (!seen) return
    const isUnknown = told === undefined && !isSeenElsewhere(job)
    if (isUnknown && this.#isAskingAgain) return
    const since = this.#sinceLook(job)
    // The node may have said it as early as that.
    seen.lookedAt = this.#inCalls.get(job) ?? this.#options.fleet.now()
    seen.looks++
    const { answersInTurn } = this.node
    if (isUnknown && !answersInTurn && this.#turns.doubts(job)) return
    if (isUnknown && (answersInTurn || job.unknownLooks === 0)) this.#unknown.add(job)
    else {
      this.#unknown.delete(job)
      if (told && hasEnded(told)) this.#noteEnd(job, since)
      this.#options.onLook(job, told, since)
    }
  }

  #noteEnd({ record, runStartedAt }: LiveJob, sinceLook: number): void {
    this.#endTimes.saw(workKindOf(record.containers), this.#options.fleet.now() - runStartedAt, sinceLook)
  }

  /** Seconds since the node last told of the job. */
  #sinceLook(job: LiveJob): number {
    const now = this.#options.fleet.now()
    return now - (this.#jobs.get(job)?.lookedAt ?? now)
  }
}
