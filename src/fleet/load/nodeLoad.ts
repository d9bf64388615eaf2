import type { EngineLoad } from '../engines/engineLoad.ts'
import { CancelledStreams } from './cancelledStreams.ts'
import type { NodeCapacity } from './capacity.ts'
import type { PolicyConstants } from './constants.ts'
import { Ejection } from './ejection.ts'
import type { FleetLoad } from './fleetLoad.ts'
import type { WorkKind } from './kinds.ts'
import { Lookups } from './lookups.ts'
import { NodeLearning } from './nodeLearning.ts'
import { Penalties } from './penalties.ts'
import { PollLearning } from './pollLearning.ts'
import { aged, type KeptNode } from './rows.ts'
import { costHintSeconds, waitingSeconds } from './score.ts'
import type { NodeLoadSnapshot } from './snapshot.ts'
import { UnseenLoad } from './unseenLoad.ts'
import type { WorkEnd, WorkMark } from './work.ts'

/** What the gateway knows of one node's load. All times (`now`) are seconds of one monotonic clock that the caller
 * reads; nothing here reads a clock, sets a timer or waits. */
export class NodeLoad {
  readonly #fleet: FleetLoad
  readonly #constants: PolicyConstants
  readonly #cancelledStreams: CancelledStreams
  readonly #polls: PollLearning
  #learnt: NodeLearning
  /** What an earlier run of the gateway had learnt by `asOf`, seconds; until the node is seen to be there. */
  #recalled: { readonly kept: KeptNode; readonly asOf: number } | undefined
  #unseen = new UnseenLoad()
  #lookups: Lookups
  #penalties: Penalties
  #ejection: Ejection
  #toldConcurrency: number | undefined
  #concurrency = 0
  #weight = 1
  #own = 0
  #pending: number | undefined
  /** As of when `#unseen` and the time served are reckoned. */
  #at = 0
  /** Service that a single job would have received if it had been here since the start, seconds. */
  #servedToOne = 0
  #cachedScore = 0
  #cachedServiceSeconds = 0
  #cachedUntil = -Infinity

  constructor(fleet: FleetLoad, capacity: NodeCapacity = {}) {
    this.#fleet = fleet
    this.#constants = fleet.constants
    this.#cancelledStreams = new CancelledStreams(this.#constants.cancelledStreamSeconds)
    this.#polls = new PollLearning(this.#constants.pollEvidenceJobs)
    this.#learnt = new NodeLearning(fleet)
    this.#lookups = new Lookups(this.#constants)
    this.#penalties = new Penalties(fleet)
    this.#ejection = new Ejection(this.#constants)
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

  /** The operator's `concurrency`, if there is one: with this number of jobs it is full. */
  get toldConcurrency(): number | undefined {
    return this.#toldConcurrency
  }

  /** A request goes to this node. Call {@link ended} exactly once for it, with the mark that this returns.
   * @param workKind the name of its kind of work */
  started(now: number, workKind?: string): WorkMark {
    const isTrial = this.#ejection.started(now)
    this.#advance(now)
    this.#own++
    return this.#mark(isTrial, workKind, this.#servedToOne)
  }

  /** A job of an earlier run of the gateway is still there. */
  restored(now: number, workKind?: string): WorkMark {
    this.#advance(now)
    this.#own++
    return this.#mark(false, workKind, undefined)
  }

  #mark(isTrial: boolean, workKind: string | undefined, servedToOne: number | undefined): WorkMark {
    const { service, concurrency } = this.#learnt.mark()
    return { service, concurrency, isTrial, workKind, servedToOne }
  }

  /** The work that {@link started} or {@link restored} began is over: for async jobs when the job is. */
  ended(now: number, { outcome, lagSeconds = 0, mark }: WorkEnd): void {
    this.#advance(now)
    if (outcome === 'success') this.#served(now, lagSeconds, mark)
    else if (outcome !== 'cancelled' && mark) this.#learnt.notServed(mark)
    this.#own = Math.max(0, this.#own - 1)
    if (mark?.isTrial !== false) this.#ejection.trialEnded()
  }

  /** Evidence from traffic that the node works: it answered. Pushbacks and clients that leave are no evidence. */
  succeeded(now: number): void {
    this.#penalties.failures.succeeded(now)
    this.#ejection.succeeded()
  }

  /** Evidence from traffic that it does not: refused, reset, silent or broken off. */
  failed(now: number): void {
    this.#penalties.failures.failed(now)
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

  /** A poll reported this number of pending jobs, off-chain and on-chain, ours among them.
   * @param engine what it counted, and how many were ours at that moment; without it those of now were */
  polled(now: number, pending: number, engine?: EngineLoad): void {
    const own = engine?.own ?? this.#own
    this.#advance(now)
    const counted = Math.max(0, pending - this.#cancelledStreams.count(now))
    this.#penalties.suspicion.polled(now, pending, this.#lookups.count, this.#unseen.jobs)
    const sincePoll = this.#pending === undefined ? 0 : now - this.#lookups.lastPollAt
    this.#unseen.observed(counted - own, sincePoll, this.#learnt.service.seconds(now), this.#constants)
    const { concurrency } = this
    const view = { pending: counted, own, concurrency, lookups: this.#lookups.count, secondsSincePoll: sincePoll }
    this.#polls.polled(this.#learnt.service, now, view)
    this.#lookups.polled(now)
    this.#pending = pending
    if (engine) this.#learnt.concurrency.sawQueue(engine)
    this.#believe()
  }

  /** Polls no longer show its load: what the last one showed holds no more. */
  unpolled(now: number): void {
    this.#advance(now)
    this.#unseen = new UnseenLoad()
    this.#pending = undefined
    this.#learnt.concurrency.forgetQueue()
  }

  /** A request was answered after so many seconds, queueing included. */
  latencyObserved(seconds: number): void {
    this.#fleet.latencyObserved(seconds)
  }

  /** The node came back: nothing learnt of it before holds any more, except that our unfinished requests are ours. */
  recovered(now: number): void {
    this.#advance(now)
    this.forgetKinds()
    this.#learnt = new NodeLearning(this.#fleet)
    const recalled = this.#recalled
    this.#recalled = undefined
    if (recalled) this.#learnt.takeUp(recalled.kept, now - recalled.asOf, now, () => this.#believedConcurrency())
    this.#concurrency = this.#believedConcurrency()
    this.#unseen = new UnseenLoad()
    this.#lookups = new Lookups(this.#constants)
    this.#penalties = new Penalties(this.#fleet)
    this.#ejection = new Ejection(this.#constants)
    this.#pending = undefined
  }

  /** Gives up what was learnt of kinds of work here, as for a node that has left the fleet. */
  forgetKinds(): void {
    this.#learnt.forgetKinds()
  }

  /** What an earlier run of the gateway, or another gateway, had learnt of it by `asOf`. It holds from the node's first sign
   * of life on: one that goes away and comes back afterwards begins anew. */
  recall(kept: KeptNode, asOf: number): void {
    this.#recalled = { kept, asOf }
  }

  /** To keep what was learnt; undefined where that is nothing. */
  kept(now: number): KeptNode | undefined {
    return this.#recalled
      ? aged(this.#recalled.kept, now - this.#recalled.asOf)
      : this.#learnt.kept(now, this.#concurrency)
  }

  /** How many times as long as usual a job of this kind takes here; undefined where none has ended. */
  learntFactor(kind: WorkKind): number | undefined {
    return kind.isKnownAt(this.#learnt.kinds) ? kind.factorAt(this.#learnt.kinds) : undefined
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
    return this.#own + unseen.jobsAfter(now - this.#at, this.#own, this.#learnt.service.seconds(now), this.#concurrency)
  }

  /** Seconds of service that a job takes here. */
  serviceSeconds(now: number): number {
    return this.#learnt.service.seconds(now)
  }

  /** Jobs per second that the node is thought to get done; what sampling goes by. */
  throughput(now: number): number {
    return (this.#weight * this.#concurrency) / this.#learnt.service.seconds(now)
  }

  /** What sending one more job here would cost, in seconds; the lowest wins.
   * @param costRatio the job's cost over the mean one
   * @param kind its kind of work */
  score(now: number, costRatio = 1, kind?: WorkKind): number {
    const evidence = this.#learnt.service.evidenceJobs(now)
    const serviceSeconds = this.#learnt.service.secondsBy(evidence)
    let unseenJobs = this.#unseen.jobs
    if (!this.#unseen.isSteady) {
      unseenJobs = this.#unseen.jobsAfter(now - this.#at, this.#own, serviceSeconds, this.#concurrency)
    }
    const seconds = waitingSeconds(this.#own + unseenJobs, this.#concurrency, serviceSeconds, this.#constants, evidence)
    return this.#scoreOf(this.#penalties.on(seconds, now) / this.#weight, serviceSeconds, costRatio, kind)
  }

  /** Adds the penalties that `score` has to a cost that was reckoned otherwise, such as by prefix caches. Seconds. */
  withPenalties(seconds: number, now: number): number {
    return this.#penalties.on(seconds, now) / this.#weight
  }

  /** A job's score, given that of a job of which nothing is known. */
  #scoreOf(base: number, serviceSeconds: number, costRatio: number, kind: WorkKind | undefined): number {
    let score = base
    if (costRatio !== 1) score += costHintSeconds(costRatio, serviceSeconds, this.#constants) / this.#weight
    return kind === undefined ? score : score * kind.factorAt(this.#learnt.kinds)
  }

  /** The score as of some moment of the last 250 ms, but never older than the last event on this node. */
  cachedScore(now: number, costRatio = 1, kind?: WorkKind): number {
    if (now >= this.#cachedUntil) {
      this.#cachedScore = this.score(now)
      this.#cachedServiceSeconds = this.#learnt.service.seconds(now)
      this.#cachedUntil = now + this.#constants.cachedScoreSeconds
    }
    return this.#scoreOf(this.#cachedScore, this.#cachedServiceSeconds, costRatio, kind)
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
    return this.#penalties.suspicion.isBlackHole(now)
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
      failureLevel: this.#penalties.failures.value(now),
      suspicion: this.#penalties.suspicion.level,
      ejectedUntil: this.#ejection.until(now),
      isOnTrial: this.#ejection.isHalfOpen(now),
      serviceFrom: this.#learnt.service.origin(now),
      concurrencyFrom: this.#toldConcurrency === undefined ? this.#learnt.concurrency.origin : 'set',
    }
  }

  /** Brings the estimates to `now`; whatever changes the load must call it first, so that they hold in between. */
  #advance(now: number): void {
    this.#cachedUntil = -Infinity
    const seconds = now - this.#at
    if (seconds <= 0) return
    this.#at = now
    if (this.#own > 0) {
      const served = seconds * this.#runningShare()
      this.#servedToOne += served
      this.#learnt.service.served(served, this.#own)
      this.#learnt.concurrency.passed(seconds, this.#own, this.#unseen.loadWith(this.#own))
    }
    if (this.#unseen.isSteady) return
    this.#unseen.drain(seconds, this.#own, this.#learnt.service.seconds(now), this.#concurrency)
  }

  /** The share of the jobs here that run, the others being queued. */
  #runningShare(): number {
    return Math.min(1, this.#concurrency / this.#unseen.loadWith(this.#own))
  }

  #served(now: number, lagSeconds: number, mark: WorkMark | undefined): void {
    const lagged = lagSeconds * this.#runningShare()
    if (lagSeconds > 0) {
      this.#learnt.service.lagged(lagged)
      this.#learnt.concurrency.lagged(lagSeconds, this.#unseen.loadWith(this.#own))
    }
    this.#learnt.service.completed(
      now,
      mark === undefined ? 1 : this.#learnt.weightOf(mark, now, this.#servedToOne, lagged),
    )
    this.#learnt.concurrency.ended(this.#unseen.loadWith(this.#own))
    this.#believe()
    this.#penalties.suspicion.clear()
  }

  #believedConcurrency(): number {
    return this.#toldConcurrency ?? this.#learnt.concurrency.jobs ?? this.#constants.assumedConcurrencyJobs
  }

  /** With another concurrency, what was seen means another service time. */
  #believe(): void {
    const before = this.#concurrency
    this.#concurrency = this.#believedConcurrency()
    if (this.#concurrency !== before)
      this.#learnt.service.rescale(this.#learnt.concurrency.ratio(this.#concurrency, before))
  }
}
