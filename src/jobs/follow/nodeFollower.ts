import { setTimeout as sleep } from 'node:timers/promises'
import { workKindOf } from '../../dispatch/index.ts'
import { CallBudget, type TrackedNode } from '../../fleet/index.ts'
import type { Reservation } from '../../base/index.ts'
import { type Answer, type BackendRequest, collect, type CollectResult } from '../../upstream/index.ts'
import type { ReceivedResult } from '../../ledger/index.ts'
import { isSeenElsewhere, type LiveJob } from '../liveJobs.ts'
import { AnswersInTurn, type Sighting } from './answersInTurn.ts'
import { LoneAsks, type LoneAsksOptions } from './loneAsks.ts'
import { AskedLooks, type AskedLooksOptions } from './askedLooks.ts'
import { EndTimes } from './endTimes.ts'
import { lookRequest, splitIntoCalls } from './lookRequest.ts'
import { readNodeJobs, type NodeJob } from './readAnswer.ts'

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

/** A running job whose intermediate results are too long to be told. */
const RUNNING = { status: 'running', result: undefined, intermediate: undefined } as const

export interface NodeFollowerOptions extends LoneAsksOptions, AskedLooksOptions {
  /** What the node said of a job, or `undefined` where it did not know it. `sinceSeconds`: since the look before. */
  readonly onLook: (job: LiveJob, told: NodeJob | undefined, sinceSeconds: number) => void
  /** A job has ended with a result that went to the ledger while it arrived. Settles when that has the end, too. */
  readonly onReceived: (
    job: LiveJob,
    state: 'success' | 'failed',
    received: ReceivedResult,
    sinceSeconds: number,
  ) => Promise<unknown>
  readonly onTooLarge: (job: LiveJob) => void
  /** Nobody could be asked. */
  readonly onSilence: (node: TrackedNode, jobs: readonly LiveJob[]) => void
  /** The node answered, but not in a way that tells of these jobs. */
  readonly onNoAccount: (jobs: readonly LiveJob[]) => void
}

/** Asks one node for all its unfinished jobs, once a period while there are any, within its rate limit. */
export class NodeFollower {
  readonly node: TrackedNode
  readonly #options: NodeFollowerOptions
  readonly #jobs = new Map<LiveJob, { lookedAt: number; looks: number }>()
  readonly #budget = new CallBudget()
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
    const { fleet, onReceived, onTooLarge, onNoAccount } = options
    this.#lone = new LoneAsks(node, options, {
      requestFor: (job, withIntermediate) => this.#request([job], withIntermediate),
      isFollowed: (job) => !this.#isStopped && this.#jobs.has(job),
      onHead: (status, headers) => {
        fleet.answered(node, { tookWork: false })
        this.#budget.observe(status, headers, fleet.now())
      },
      tell: (job, answer) => this.#tell([job], answer),
      onRunning: (job) => this.#sight([{ job, told: { ...RUNNING, id: job.record.nodeJobId } }]),
      onUnknown: (job) => this.#sight([{ job, told: undefined }]),
      onEnded: (job, state, received) => {
        this.#compare([{ job, told: { ...RUNNING, id: job.record.nodeJobId, status: state } }])
        this.#unknown.delete(job)
        return onReceived(job, state, received, this.#sinceLook(job))
      },
      onTooLarge,
      onNoAccount: (job) => onNoAccount([job]),
      onFailure: (_job, result) => this.#failed(result),
    })
    this.#asked = new AskedLooks(node, this.#endTimes, options, {
      lookedAt: (job) => (this.#lone.has(job) ? undefined : this.#jobs.get(job)?.lookedAt),
      tell: (sightings) => sightings.forEach((sighting) => this.#pass(sighting)),
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
    if (this.#options.askers.isAwaited(job)) this.#asked.await(job)
  }

  remove(job: LiveJob): void {
    this.#jobs.delete(job)
    this.#unknown.delete(job)
    this.#lone.remove(job)
    this.#asked.remove(job)
  }

  /** A client at this address asks for a job, and will not wait. */
  ask(job: LiveJob, address: string): void {
    if (this.#jobs.has(job)) this.#asked.ask(job, address)
  }

  /** A client waits for a job. */
  await(job: LiveJob): void {
    if (this.#jobs.has(job)) this.#asked.await(job)
  }

  /** Brings the next look forward, as far as the pace allows. */
  lookSoon(): void {
    this.#lookBy(this.#lastLookAt + this.#options.periodSeconds)
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
    this.#lone.stop()
    this.#asked.stop()
  }

  #lookBy(at: number): void {
    const dueAt = Math.max(at, this.#budget.nextCallAt)
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
      for (const chunk of this.#chunks()) if (!(await this.#ask(chunk))) break
      await this.#askAgain()
    } catch (error) {
      logger.error('looking at jobs failed', { node: this.node.name, error })
      onNoAccount(this.#unread())
    }
    this.#isLooking = false
    this.#dueAt = Infinity
    if (this.#jobs.size > 0) this.#lookBy(this.#lastLookAt + periodSeconds)
  }

  /** The jobs whose turn it is, longest unseen first, as many calls as the node's budget bears. */
  #chunks(): (readonly LiveJob[])[] {
    this.#quietLooks++
    const rest = this.#rest.splice(0, this.#budget.burst)
    const inRest = new Set([...rest, ...this.#rest].flat())
    const isSeldom = this.#quietLooks % SELDOM !== 0
    const due = [...this.#jobs].filter(([job, { looks }]) => {
      const isLeft = job.record.clientGone === true && looks >= FIRST_LOOKS
      return !this.#lone.has(job) && !inRest.has(job) && !(isLeft && isSeldom)
    })
    due.sort(([, a], [, b]) => a.lookedAt - b.lookedAt)
    const jobs = due.map(([job]) => job)
    const chunks = splitIntoCalls(this.node, jobs, this.#budget.burst - rest.length)
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
      if (!chunk || this.#isStopped || this.#budget.nextCallAt > this.#options.fleet.now()) break
      if (!(await this.#ask(chunk))) break
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

  /** Asks for these jobs. False where the others of this look should not be asked for. */
  async #ask(wanted: readonly LiveJob[]): Promise<boolean> {
    const jobs = wanted.filter((job) => this.#jobs.has(job))
    const [first] = jobs
    if (!first) return true
    if (jobs.length === 1) return this.#lone.ask(first)
    const memory = this.#options.memory.openOwn('jobs')
    try {
      return await this.#askWithin(memory, jobs)
    } finally {
      memory.release()
    }
  }

  async #askWithin(memory: Reservation, jobs: readonly LiveJob[]): Promise<boolean> {
    const { fleet } = this.#options
    const result = await this.#call(jobs, memory)
    if (this.#isStopped) return false
    if (result.kind === 'fault') {
      return result.fault.code === 'ERR_NODE_BROKE' ? this.#divide(jobs) : this.#failed(result)
    }
    const { answer } = result
    fleet.answered(this.node, { tookWork: false })
    this.#budget.observe(answer.status, answer.headers, fleet.now())
    if (answer.status !== 200) return this.#failed(result)
    if (await this.#tell(jobs, answer)) return true
    memory.release()
    return this.#divide(jobs)
  }

  /** No answer, or one that is no list of jobs: the others of this look are not asked for. */
  #failed(result: CollectResult): false {
    const { fleet, onSilence, onNoAccount } = this.#options
    if (this.#isStopped) return false
    if (result.kind === 'answer') {
      if (result.answer.status !== 429) onNoAccount(this.#unread())
    } else if (result.fault.fault.source === 'upstream') {
      fleet.failed(this.node, result.fault.message, { refused: result.refused, lost: true })
      // Nobody is there for any of them, not for those of this call alone.
      onSilence(this.node, this.#unread())
    }
    // The gateway's own fault, such as no room for the answer: the next look asks again.
    return false
  }

  /** After an answer that could not be read, or not to its end: one result must not hide the others. */
  async #divide(jobs: readonly LiveJob[]): Promise<boolean> {
    const middle = jobs.length >> 1
    const halves = [jobs.slice(0, middle), jobs.slice(middle)] as const
    const isWithinBudget = this.#budget.nextCallAt <= this.#options.fleet.now()
    if (++this.#divisions > MAX_DIVISIONS || !isWithinBudget) {
      this.#rest.push(...halves)
      return false
    }
    if (await this.#ask(halves[0])) return this.#ask(halves[1])
    this.#rest.push(halves[1])
    return false
  }

  #request(jobs: readonly LiveJob[], withIntermediate: boolean): BackendRequest {
    const { via, address } = this.#options.identity
    // The next call has a connection of its own, which may lead to another node.
    const reset = this.#isAskingAgain || this.node.answersInTurn
    return lookRequest(this.node, jobs, { via, address, withIntermediate, reset })
  }

  #call(jobs: readonly LiveJob[], memory: Reservation): Promise<CollectResult> {
    return collect(this.#options.transport, this.node, this.#request(jobs, true), {
      silenceSeconds: SILENCE_SECONDS,
      timeoutSeconds: CALL_TIMEOUT_SECONDS,
      maxBytes: MAX_ANSWER_BYTES,
      memory,
    })
  }

  /** False where the answer cannot be read. */
  async #tell(jobs: readonly LiveJob[], answer: Answer): Promise<boolean> {
    const byId = await readNodeJobs(answer.body)
    if (!byId) return false
    if (this.#isStopped) return true
    this.#sight(jobs.map((job) => ({ job, told: byId.get(job.record.nodeJobId) })))
    return true
  }

  #sight(all: readonly Sighting[]): void {
    const sightings = all.filter(({ job }) => this.#jobs.has(job))
    this.#compare(sightings)
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
    seen.lookedAt = this.#options.fleet.now()
    seen.looks++
    const { answersInTurn } = this.node
    if (isUnknown && !answersInTurn && this.#turns.doubts(job)) return
    if (isUnknown && (answersInTurn || job.unknownLooks === 0)) this.#unknown.add(job)
    else {
      this.#unknown.delete(job)
      if (told && told.status !== 'running')
        this.#endTimes.saw(workKindOf(job.record.containers), this.#ageOf(job), since)
      this.#options.onLook(job, told, since)
    }
  }

  #ageOf(job: LiveJob): number {
    return this.#options.fleet.now() - job.runStartedAt
  }

  /** Seconds since the node last told of the job. */
  #sinceLook(job: LiveJob): number {
    const now = this.#options.fleet.now()
    return now - (this.#jobs.get(job)?.lookedAt ?? now)
  }
}
