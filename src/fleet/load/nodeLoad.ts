import { CancelledStreams } from './cancelledStreams.ts'
import type { PolicyConstants } from './constants.ts'
import { Ejection } from './ejection.ts'
import { FailureLevel } from './failureLevel.ts'
import type { FleetLoad } from './fleetLoad.ts'
import { LearntConcurrency, type ConcurrencyMark } from './learntConcurrency.ts'
import { Lookups } from './lookups.ts'
import { costHintSeconds, waitingSeconds } from './score.ts'
import type { ServedMark } from './servedSeconds.ts'
import { ServiceTime } from './serviceTime.ts'
import { Suspicion } from './suspicion.ts'
import { UnseenLoad } from './unseenLoad.ts'

/** How work at a node ended. What that tells of the node's health is said by {@link NodeLoad.succeeded} and
 * {@link NodeLoad.failed}.
 * - `success`: it was served to the end.
 * - `failure`: it was not: the node broke, refused or failed it.
 * - `pushback`: 429 or 503, the node wants no more for now.
 * - `cancelled`: the client left. The time served counts all the same, since slow nodes are where clients leave. */
export type WorkOutcome = 'success' | 'failure' | 'pushback' | 'cancelled'

export interface WorkEnd {
  readonly outcome: WorkOutcome
  /** Asynchronous jobs: mean seconds between the end of a job and hearing of it. */
  readonly lagSeconds?: number
  /** What {@link NodeLoad.started} returned: with it, the time of work that was not served is taken back exactly. */
  readonly mark?: WorkMark
}

/** When work began, in the service that each job gets. */
export interface WorkMark {
  readonly service: ServedMark
  readonly concurrency: ConcurrencyMark
  /** Whether it tries out a node that was set aside. */
  readonly isTrial: boolean
}

/** What the operator says of a backend. */
export interface NodeCapacity {
  /** Jobs that it runs at once. */
  readonly concurrency?: number | undefined
  /** Divides the score: 2 draws about twice the load of 1. */
  readonly weight?: number | undefined
}

/** The state of a node's load, for people. Times are seconds of the caller's clock. */
export interface NodeLoadSnapshot {
  readonly load: number
  readonly inFlight: number
  readonly unseenJobs: number
  readonly pending: number | undefined
  readonly serviceSeconds: number
  readonly concurrency: number
  readonly failureLevel: number
  readonly suspicion: number
  readonly ejectedUntil: number | undefined
}

/** The least load that the share of a job in the node is reckoned with. */
const LEAST_LOAD = 0.3

/** What the gateway knows of one node's load. All times (`now`) are seconds of one monotonic clock that the caller
 * reads; nothing here reads a clock, sets a timer or waits. */
export class NodeLoad {
  readonly #fleet: FleetLoad
  readonly #constants: PolicyConstants
  readonly #cancelledStreams: CancelledStreams
  #service: ServiceTime
  #learntConcurrency: LearntConcurrency
  #unseen = new UnseenLoad()
  #lookups: Lookups
  #failures: FailureLevel
  #ejection: Ejection
  #suspicion: Suspicion
  #toldConcurrency: number | undefined
  #concurrency = 0
  #weight = 1
  #own = 0
  #pending: number | undefined
  /** As of when `#unseen` and the time served are reckoned. */
  #at = 0
  /** Unseen jobs that the last poll showed, and how many of them it takes to have been running. */
  #polledUnseen = 0
  #polledUnseenRunning = 0
  #cachedScore = 0
  #cachedUntil = -Infinity

  constructor(fleet: FleetLoad, capacity: NodeCapacity = {}) {
    this.#fleet = fleet
    this.#constants = fleet.constants
    this.#cancelledStreams = new CancelledStreams(this.#constants.cancelledStreamSeconds)
    this.#service = new ServiceTime(fleet)
    this.#learntConcurrency = new LearntConcurrency(this.#constants)
    this.#lookups = new Lookups(this.#constants)
    this.#failures = new FailureLevel(this.#constants)
    this.#ejection = new Ejection(this.#constants)
    this.#suspicion = new Suspicion(this.#constants)
    this.configure(capacity)
  }

  /** Takes over what the operator says; what they do not say goes back to what was learnt, or to its default. */
  configure({ concurrency, weight = 1 }: NodeCapacity): void {
    this.#toldConcurrency = concurrency
    this.#concurrency = this.#believedConcurrency()
    this.#weight = weight
    this.#cachedUntil = -Infinity
  }

  /** Jobs and requests of ours that are under way. */
  get inFlight(): number {
    return this.#own
  }

  /** Pending jobs that the last poll showed. */
  get pending(): number | undefined {
    return this.#pending
  }

  /** Jobs that it runs at once: what the operator says, else what was learnt, else a guess. */
  get concurrency(): number {
    return this.#concurrency
  }

  /** A request goes to this node. Call {@link ended} exactly once for it, with the mark that this returns. */
  started(now: number): WorkMark {
    return this.#mark(now, this.#ejection.started(now))
  }

  /** A job of an earlier run of the gateway is still there. */
  restored(now: number): WorkMark {
    return this.#mark(now, false)
  }

  #mark(now: number, isTrial: boolean): WorkMark {
    this.#advance(now)
    this.#own++
    return { service: this.#service.mark(), concurrency: this.#learntConcurrency.mark(), isTrial }
  }

  /** The work that {@link started} or {@link restored} began is over: for async jobs when the job is. */
  ended(now: number, { outcome, lagSeconds = 0, mark }: WorkEnd): void {
    this.#advance(now)
    if (outcome === 'success') this.#served(now, lagSeconds)
    else if (outcome !== 'cancelled' && mark) {
      this.#service.notServed(mark.service)
      this.#learntConcurrency.notServed(mark.concurrency)
    }
    this.#own = Math.max(0, this.#own - 1)
    if (mark?.isTrial !== false) this.#ejection.trialEnded()
  }

  /** Evidence from traffic that the node works: it answered. Pushbacks and clients that leave are no evidence. */
  succeeded(now: number): void {
    this.#failures.succeeded(now)
    this.#ejection.succeeded()
  }

  /** Evidence from traffic that it does not: refused, reset, silent or broken off. */
  failed(now: number): void {
    this.#failures.failed(now)
    this.#ejection.failed(now)
  }

  /** A two-step client got this node as its first answer. `weight` is the hinted cost of its job over the mean. */
  lookedUp(now: number, weight = 1): void {
    this.#advance(now)
    this.#unseen.expect(weight)
    this.#lookups.handedOut(now)
  }

  /** A client left a stream: the node may count it as pending until its record expires. */
  cancelledStream(now: number): void {
    this.#cancelledStreams.add(now)
  }

  /** A poll showed so many pending jobs, off-chain and on-chain, ours among them. */
  polled(now: number, pending: number): void {
    this.#advance(now)
    const counted = Math.max(0, pending - this.#cancelledStreams.count(now))
    this.#suspicion.polled(now, pending, this.#lookups.count, this.#unseen.jobs)
    const sincePoll = this.#pending === undefined ? 0 : now - this.#lookups.lastPollAt
    this.#unseen.observed(counted - this.#own, sincePoll, this.#service.seconds(now), this.#constants)
    this.#learnFromPolls(now, counted, sincePoll)
    this.#lookups.polled(now)
    this.#pending = pending
  }

  /** A request was answered after so many seconds, queueing included. */
  latencyObserved(seconds: number): void {
    this.#fleet.latencyObserved(seconds)
  }

  /** The node came back: nothing learnt of it before holds any more, except that our unfinished requests are ours. */
  recovered(now: number): void {
    this.#advance(now)
    this.#service = new ServiceTime(this.#fleet)
    this.#learntConcurrency = new LearntConcurrency(this.#constants)
    this.#concurrency = this.#believedConcurrency()
    this.#unseen = new UnseenLoad()
    this.#lookups = new Lookups(this.#constants)
    this.#failures = new FailureLevel(this.#constants)
    this.#ejection = new Ejection(this.#constants)
    this.#suspicion = new Suspicion(this.#constants)
    this.#pending = undefined
  }

  /** When, from `now` on, the node should be polled ahead of its turn; undefined when there is no need. */
  earlyPollAt(now: number): number | undefined {
    const wishedAt = this.#lookups.earlyPollAt
    return wishedAt === undefined ? undefined : Math.max(now, wishedAt)
  }

  /** Jobs that are thought to be on the node, ours and others'. */
  load(now: number): number {
    const unseen = this.#unseen
    // Mostly true for nodes that only we use; spares reckoning the service time.
    if (unseen.isSteady) return this.#own + unseen.jobs
    return this.#own + unseen.jobsAfter(now - this.#at, this.#own, this.#service.seconds(now), this.#concurrency)
  }

  /** Seconds of service that a job takes here. */
  serviceSeconds(now: number): number {
    return this.#service.seconds(now)
  }

  /** Jobs per second that the node is thought to get done; what sampling goes by. */
  throughput(now: number): number {
    return (this.#weight * this.#concurrency) / this.#service.seconds(now)
  }

  /** What sending one more job here would cost, in seconds; the lowest wins.
   * @param costRatio the job's hinted cost over the mean one */
  score(now: number, costRatio = 1): number {
    const evidence = this.#service.evidenceJobs(now)
    const serviceSeconds = this.#service.secondsBy(evidence)
    let unseenJobs = this.#unseen.jobs
    if (!this.#unseen.isSteady) {
      unseenJobs = this.#unseen.jobsAfter(now - this.#at, this.#own, serviceSeconds, this.#concurrency)
    }
    let seconds = waitingSeconds(this.#own + unseenJobs, this.#concurrency, serviceSeconds, this.#constants, evidence)
    if (costRatio !== 1) seconds += costHintSeconds(costRatio, serviceSeconds, this.#constants)
    const { failurePenaltyLatencies, suspicionPenaltyRatio } = this.#constants
    const failureLevel = this.#failures.value(now)
    if (failureLevel > 0) seconds += failurePenaltyLatencies * failureLevel * this.#fleet.meanLatencySeconds
    if (this.#suspicion.isBlackHole(now)) seconds = (seconds + this.#fleet.meanLatencySeconds) * suspicionPenaltyRatio
    return seconds / this.#weight
  }

  /** The score as of some moment of the last 250 ms, but never older than the last event on this node. */
  cachedScore(now: number): number {
    if (now >= this.#cachedUntil) {
      this.#cachedScore = this.score(now)
      this.#cachedUntil = now + this.#constants.cachedScoreSeconds
    }
    return this.#cachedScore
  }

  isEjected(now: number): boolean {
    return this.#ejection.isEjected(now)
  }

  /** False while ejected; afterwards one request at a time until one succeeds. */
  admits(now: number): boolean {
    return this.#ejection.admits(now)
  }

  /** Sent jobs by look-ups, it never showed any. */
  isBlackHole(now: number): boolean {
    return this.#suspicion.isBlackHole(now)
  }

  snapshot(now: number): NodeLoadSnapshot {
    const load = this.load(now)
    return {
      load,
      inFlight: this.#own,
      unseenJobs: load - this.#own,
      pending: this.#pending,
      serviceSeconds: this.serviceSeconds(now),
      concurrency: this.#concurrency,
      failureLevel: this.#failures.value(now),
      suspicion: this.#suspicion.level,
      ejectedUntil: this.#ejection.until(now),
    }
  }

  /** Brings the estimates to `now`; whatever changes the load must call it first, so that they hold in between. */
  #advance(now: number): void {
    this.#cachedUntil = -Infinity
    const seconds = now - this.#at
    if (seconds <= 0) return
    this.#at = now
    if (this.#own > 0) {
      this.#service.served(seconds * this.#runningShare(), this.#own)
      this.#learntConcurrency.passed(seconds, this.#own, this.#loadHere())
    }
    if (this.#unseen.isSteady) return
    this.#unseen.drain(seconds, this.#own, this.#service.seconds(now), this.#concurrency)
  }

  /** Jobs here as of the last event; never so few that a share in the node becomes meaningless. */
  #loadHere(): number {
    return Math.max(this.#own + this.#unseen.jobs, LEAST_LOAD)
  }

  /** The share of the jobs here that run, the others being queued. */
  #runningShare(): number {
    return Math.min(1, this.#concurrency / this.#loadHere())
  }

  #served(now: number, lagSeconds: number): void {
    if (lagSeconds > 0) {
      this.#service.lagged(lagSeconds * this.#runningShare())
      this.#learntConcurrency.lagged(lagSeconds, this.#loadHere())
    }
    this.#service.completed(now)
    this.#learntConcurrency.ended(this.#loadHere())
    this.#believe()
    this.#suspicion.clear()
  }

  #believedConcurrency(): number {
    return this.#toldConcurrency ?? this.#learntConcurrency.jobs ?? this.#constants.assumedConcurrencyJobs
  }

  /** With another concurrency, what was seen means another service time. */
  #believe(): void {
    const before = this.#concurrency
    this.#concurrency = this.#believedConcurrency()
    if (this.#concurrency !== before) this.#service.rescale(this.#learntConcurrency.ratio(this.#concurrency, before))
  }

  /** What went in by look-ups and is no longer there at the next poll has been served in between. A coarse measure,
   * only for nodes of which our own jobs tell little. An empty poll teaches nothing: a black hole would seem ever faster. */
  #learnFromPolls(now: number, pending: number, sincePoll: number): void {
    const unseen = Math.max(0, pending - this.#own)
    const running = pending > 0 ? (Math.min(pending, this.#concurrency) * unseen) / pending : 0
    const ended = this.#lookups.count + this.#polledUnseen - unseen
    const needed = this.#service.ownEvidenceJobs(now) < this.#constants.pollEvidenceJobs
    if (needed && this.#lookups.count > 0 && pending > 0) {
      this.#service.servedOthers((sincePoll * (running + this.#polledUnseenRunning)) / 2)
      if (ended > 0) this.#service.completedUnseen(now, ended)
    }
    this.#polledUnseen = unseen
    this.#polledUnseenRunning = running
  }
}
