import { EventEmitter } from 'node:events'
import { steadyClock } from '../base/index.ts'
import { type Dispatcher, type Lease, workKindOf } from '../dispatch/index.ts'
import { GatewayFault } from '../faults.ts'
import { type Fleet, parseAddress, type TrackedNode } from '../fleet/index.ts'
import {
  type IdempotencyRecord,
  type JobRecord,
  type Ledger,
  ledgerFault,
  type ReceivedResult,
  type SharedLedger,
} from '../ledger/index.ts'
import type { Room } from '../replicas/index.ts'
import { type Admission, admissionFor, type AdmissionLimits, jobsBound } from './admission/index.ts'
import { Intermediates } from './intermediates.ts'
import { type AcceptedJob, type LiveJob, type LiveJobEnd, newLiveJob } from './liveJob.ts'

export { isSeenElsewhere } from './liveJob.ts'
export type { AcceptedJob, LiveJob, LiveJobEnd, ProvisionalEnd } from './liveJob.ts'

/** The result of a job that ended with one that only the ledger has. */
const IN_LEDGER = Buffer.alloc(0)

const NO_LIMITS: AdmissionLimits = { jobsOf: jobsBound(0), maxBytes: Infinity }

export interface LiveJobsEvents {
  /** The job is at this node now and wants to be followed. */
  follow: [job: LiveJob]
  /** Nobody has to look after it any more, at this node at least. */
  unfollow: [job: LiveJob]
  /** A final state that was set by hand, and may not be the last, may be told from now on. */
  provisional: [job: LiveJob]
  /** Its final state may be told from now on. */
  ended: [job: LiveJob, end: LiveJobEnd]
  rerun: [job: LiveJob, from: TrackedNode]
  /** Another gateway's from now on, or over: only the ledger can tell of it. */
  disowned: [job: LiveJob]
  /** The shared ledger did not take a change of a job: it may be another gateway's, or lost there. */
  doubtful: [id: string]
}

/**
 * The unfinished jobs of this gateway, in memory; the ledger has them too, durably, and the finished ones only there.
 *
 * Where several gateways share the ledger, another may take a job over as soon as this one might be taken for dead. So a final
 * state counts only once the ledger has accepted it: until then no client sees it, and a rejected one is discarded.
 */
export class LiveJobs extends EventEmitter<LiveJobsEvents> {
  readonly #jobs = new Map<string, LiveJob>()
  readonly #ledger: Ledger
  readonly #shared: SharedLedger | undefined
  readonly #dispatcher: Dispatcher
  readonly #fleet: Fleet
  readonly #limits: AdmissionLimits
  readonly #admission: Admission
  readonly #intermediates = new Intermediates()
  #isLeaving = false

  constructor(ledger: Ledger, dispatcher: Dispatcher, limits: AdmissionLimits = NO_LIMITS) {
    super()
    this.#ledger = ledger
    this.#shared = ledger.shared
    this.#dispatcher = dispatcher
    this.#fleet = dispatcher.fleet
    this.#limits = limits
    this.#admission = admissionFor(ledger, limits)
  }

  get size(): number {
    return this.#jobs.size
  }

  ids(): string[] {
    return [...this.#jobs.keys()]
  }

  /** Takes up the jobs that were unfinished when the gateway ended. Not for a shared ledger, where others may follow them. */
  async restore(): Promise<number> {
    for (const { record, bytes } of await this.#ledger.unfinished()) {
      this.#admission.count(record.caller, { jobs: record.clientGone ? 0 : 1, bytes })
      this.emit('follow', this.#takeUp(record, bytes))
    }
    return this.#jobs.size
  }

  /** Takes up a job that was another gateway's and is ours now. `isOrphan`: its node does not show its present run to us. */
  adopt(record: JobRecord, { isOrphan = false } = {}): LiveJob {
    const known = this.#jobs.get(record.id)
    if (known) return known
    const job = this.#takeUp(record, 0)
    if (isOrphan) job.isOrphan = true
    else becomeReadable(job)
    this.emit('follow', job)
    return job
  }

  /** Another gateway has the job now, or it is over. Its place at the node is free as far as we are concerned. */
  disown(id: string): void {
    const job = this.#jobs.get(id)
    if (!job) return
    this.#jobs.delete(id)
    if (!job.end) {
      job.lease?.workEnded('cancelled')
      this.emit('unfollow', job)
    }
    this.#intermediates.keep(job, undefined)
    this.emit('disowned', job)
  }

  /** Others may take our jobs over from now on, whatever we hear of it: they are told from the ledger alone. */
  leave(): void {
    this.#isLeaving = true
  }

  /** @throws GatewayFault ERR_BATCH_TOO_LARGE where one caller could never have as many unfinished jobs */
  refuseImpossible(caller: string, count: number): void {
    const { setting, most: limit } = this.#limits.jobsOf(caller)
    if (limit === 0 || count <= limit) return
    throw new GatewayFault(
      'ERR_BATCH_TOO_LARGE',
      `A batch of ${count} jobs can never be taken: ${setting} is ${limit}`,
      { params: { setting, limit, jobs: count } },
    )
  }

  /**
   * Takes places for submissions of a caller before anything is sent, and room for what the ledger will keep of them. A
   * subscription has a place while its request is under way, and needs no room. What comes to nothing is given back by
   * `giveBack`; of recorded jobs the end does that.
   *
   * @throws GatewayFault as `Admission.take` says; ERR_LEDGER while jobs could not be recorded, so that no node runs them in vain
   */
  admit(caller: string, wanted: Room): Room | Promise<Room> {
    const { writable, reason = 'unknown' } = this.#ledger.health()
    if (wanted.bytes > 0 && !writable) throw ledgerFault(reason)
    return this.#admission.take(caller, wanted)
  }

  /** Returns what was admitted and came to nothing: what `admit` returned, or a part of it. */
  giveBack(caller: string, room: Room): void {
    this.#admission.giveBack(caller, room)
  }

  /**
   * Records jobs that a node has accepted, durably. The place and the room that `admit` took are theirs from here on.
   *
   * @throws what the ledger throws; then the jobs are not ours, and the places are still the caller's to give back
   */
  async accept(accepted: readonly AcceptedJob[], answer?: IdempotencyRecord): Promise<LiveJob[]> {
    await this.#ledger.insert(accepted, answer)
    return accepted.map(({ record, room = 0, lease, isOpen }) => {
      // Found in the shared ledger before its insert was acknowledged.
      if (this.#jobs.has(record.id)) this.disown(record.id)
      // The place of a stream ends with its connection.
      const job = this.#add(record, lease.node, record.kind === 'job' ? lease : undefined, room, { isOpen })
      if (!job.isOpen) this.emit('follow', job)
      return job
    })
  }

  find(id: string): LiveJob | undefined {
    return this.#jobs.get(id)
  }

  /** Whether the job is still ours to look after, and without a final state. */
  isUnfinished(job: LiveJob): boolean {
    return !job.end && this.#jobs.get(job.record.id) === job
  }

  /** The caller's job of that id; another's does not exist. */
  ofCaller(caller: string, id: string): LiveJob | undefined {
    const job = this.#jobs.get(id)
    return job?.record.caller === caller ? job : undefined
  }

  /**
   * The same job if its state may be read from memory. With a shared ledger that is a running job that no other gateway can have
   * taken over; a final state that may already be in the ledger is read from there, as the other gateways do.
   */
  toldFromMemory(caller: string, id: string): LiveJob | undefined {
    const job = this.ofCaller(caller, id)
    if (!job || !this.#shared) return job
    const isSure = !this.#isLeaving && this.#shared.coordination.membership.isSure
    return isSure && !job.end ? job : undefined
  }

  /** Its node says that it runs, and what has come of it so far. */
  runs(job: LiveJob, intermediate: Buffer | undefined): void {
    job.knownAt = this.#fleet.now()
    if (job.isOrphan) becomeReadable(job)
    if (!this.#shared) return this.#intermediates.keep(job, intermediate)
    const news = this.#intermediates.update(job, intermediate)
    if (news) this.#shared.note(job.record.id, news).catch(ignoreRefusal)
  }

  /** A stream's connection has ended; what became of the job, its node says. */
  streamClosed(job: LiveJob, leftByClient: boolean): void {
    job.isOpen = false
    if (leftByClient) job.node.load.cancelledStream(this.#fleet.now())
    if (this.#jobs.get(job.record.id) !== job) return
    if (leftByClient) {
      // It holds a place at the node until its record expires, but the caller is done with it.
      this.#admission.count(job.record.caller, { jobs: -1, bytes: 0 })
      job.record = { ...job.record, clientGone: true }
      this.#ledger.markLeft(job.record.id).catch(ignoreRefusal)
    }
    this.emit('follow', job)
  }

  /** The final state; the first one stands. Settles when the ledger has it; never rejects. */
  finish(job: LiveJob, end: LiveJobEnd, lagSeconds: number): Promise<unknown> {
    const { id } = job.record
    if (!this.isUnfinished(job)) return Promise.resolve()
    this.#leaveNode(job, end, lagSeconds)
    const kept = { ...end, finishedAt: steadyClock.stampMs() }
    if (this.#shared) return this.#finishShared(job, end, () => this.#ledger.finish(id, kept))
    this.#ended(job, end)
    // Until then it is read from here.
    return this.#ledger.finish(id, kept).then(() => this.#jobs.delete(id), ignoreRefusal)
  }

  /**
   * The same with a result that the ledger has received already: to clients the job runs until the ledger has its end,
   * too. Settles then, or when another end came first; never rejects.
   */
  async finishReceived(
    job: LiveJob,
    state: LiveJobEnd['state'],
    received: ReceivedResult,
    lagSeconds: number,
  ): Promise<void> {
    const { id } = job.record
    const isUnfinished = (): boolean => this.isUnfinished(job)
    const end = { state, finishedAt: steadyClock.stampMs() }
    const isWritten = isUnfinished() && (await received.finish(id, end, isUnfinished).catch(ignoreRefusal))
    if (!isWritten) received.drop()
    if (isWritten === undefined || !isUnfinished()) return
    if (!isWritten && this.#shared) return this.disown(id)
    this.#jobs.delete(id)
    const known = { state, result: IN_LEDGER, intermediate: undefined }
    this.#leaveNode(job, known, lagSeconds)
    this.#ended(job, known)
  }

  /** The end of a job is told when the shared ledger took it. One that it did not take is another's affair. */
  async #finishShared(job: LiveJob, end: LiveJobEnd, write: () => Promise<boolean>): Promise<void> {
    const { id } = job.record
    let isTaken = false
    try {
      isTaken = (await write()) || ((await this.#putBack(job)) && (await write()))
    } catch {
      // What cannot be written for good stays ours in the ledger, and is taken up again from there.
    }
    if (this.#jobs.get(id) !== job) return
    if (!isTaken) return this.disown(id)
    this.#jobs.delete(id)
    this.#ended(job, end)
  }

  /** Records a job of ours again that the shared ledger has lost; false where it knows of it. */
  async #putBack(job: LiveJob): Promise<boolean> {
    const { id } = job.record
    if (this.#jobs.get(id) !== job || (await this.#ledger.find(id))) return false
    await this.#ledger.insert([{ record: job.record }])
    return true
  }

  /** The job's work at its node is over. */
  #leaveNode(job: LiveJob, end: LiveJobEnd, lagSeconds: number): void {
    job.end = end
    job.lease?.workEnded(end.state === 'success' ? 'success' : 'failure', lagSeconds)
    this.emit('unfollow', job)
  }

  #ended(job: LiveJob, end: LiveJobEnd): void {
    const { caller, clientGone } = job.record
    this.#intermediates.keep(job, undefined)
    this.#admission.count(caller, { jobs: clientGone ? 0 : -1, bytes: -job.room })
    this.emit('ended', job, end)
  }

  /** A run began, perhaps, at a node that did not say so: it counts, and nothing will be heard of it. */
  runLost(job: LiveJob): void {
    if (!this.isUnfinished(job)) return
    job.record = { ...job.record, runs: job.record.runs + 1 }
    this.#recordRun(job.record)
  }

  /** The job runs again elsewhere, under its id. */
  moved(job: LiveJob, run: { lease: Lease; nodeJobId: string; localAddress: string }): void {
    const { lease, ...where } = run
    if (!this.isUnfinished(job)) {
      lease.workEnded('cancelled')
      return
    }
    // Where its gateway was lost, and not its node, the node is not to blame.
    job.lease?.workEnded(job.isOrphan ? 'cancelled' : 'failure')
    this.#intermediates.keep(job, undefined)
    this.emit('unfollow', job)
    const newRun = { ...where, node: lease.node.key, runs: job.record.runs + 1, runStartedAt: steadyClock.stampMs() }
    const next = this.#add({ ...job.record, ...newRun }, lease.node, lease, job.room)
    this.emit('rerun', next, job.node)
    this.emit('follow', next)
    this.#recordRun(next.record)
  }

  #recordRun({ id, node, nodeJobId, localAddress, runs, runStartedAt }: JobRecord): void {
    const run = { node, nodeJobId, localAddress, runs, runStartedAt }
    const recorded = this.#ledger.startRun(id, run, runs - 1)
    recorded.then((isTaken) => void (this.#shared && !isTaken && this.emit('doubtful', id)), ignoreRefusal)
  }

  /** Takes up a job that already runs, in a place of its own at its node. */
  #takeUp(record: JobRecord, room: number): LiveJob {
    const node = this.#fleet.find(record.node) ?? this.#fleet.adopt(parseAddress(record.node))
    const lease = record.kind === 'job' ? this.#dispatcher.restore(node, workKindOf(record.containers)) : undefined
    return this.#add(record, node, lease, room, { ranSeconds: secondsSince(record.runStartedAt) })
  }

  /** `ranSeconds`: for how long this run has been going on. */
  #add(
    record: JobRecord,
    node: TrackedNode,
    lease: Lease | undefined,
    room: number,
    { isOpen = false, ranSeconds = 0 } = {},
  ): LiveJob {
    const job = newLiveJob(record, node, { lease, room, isOpen, ranSeconds, now: this.#fleet.now() })
    this.#jobs.set(record.id, job)
    return job
  }
}

/**
 * The ledger holds what it cannot write. It rejects while the gateway ends, and what can never be written, which it logs:
 * then the next start finds the job unfinished.
 */
function ignoreRefusal(): void {}

/** Its node shows a job that was another gateway's to this one: it knows it by our address, too. */
function becomeReadable(job: LiveJob): void {
  job.isOrphan = false
  job.record = { ...job.record, localAddress: job.node.localAddress ?? job.record.localAddress }
}

/** Seconds since a date that an earlier process wrote; a clock that was set back since makes it no younger than now. */
function secondsSince(epochMs: number): number {
  return Math.max(0, (Date.now() - epochMs) / 1000)
}
