import { EventEmitter } from 'node:events'
import { type Fleet, parseAddress, type TrackedNode } from '../fleet/index.ts'
import { type Dispatcher, type Lease, workKindOf } from '../dispatch/index.ts'
import { GatewayFault } from '../faults.ts'
import { limitKeyOf, steadyClock } from '../base/index.ts'
import {
  type JobRecord,
  type IdempotencyRecord,
  type Ledger,
  ledgerFault,
  type ReceivedResult,
} from '../ledger/index.ts'
import { RequestRoom } from './requestRoom.ts'

/** Intermediate results of a running job that are longer, or more of them in all, are told only when it has ended, bytes. */
const MAX_INTERMEDIATE_BYTES = 64_000
const MAX_INTERMEDIATE_BYTES_IN_ALL = 64_000_000

/** The result of a job that ended with one that only the ledger has. */
const IN_LEDGER = Buffer.alloc(0)

/** How a job ended: its result as the bytes that a node wrote, or that we wrote for it. */
export interface LiveJobEnd {
  readonly state: 'success' | 'failed'
  readonly result: Buffer
  readonly intermediate: Buffer | undefined
}

/** An unfinished job, as long as somebody has to look after it. */
export interface LiveJob {
  record: JobRecord
  readonly node: TrackedNode
  /** Its place at the node; `undefined` for a stream, whose place ends with its connection. */
  lease: Lease | undefined
  /** The room that it takes in the ledger until its end, bytes. */
  readonly room: number
  /** Looks in a row at which the node did not know it. */
  unknownLooks: number
  /** When a node last said that it runs, or when we began to look after it: monotonic seconds. */
  knownAt: number
  /** When this run began: monotonic seconds, before the start of this process for a restored one. */
  runStartedAt: number
  /** What the node last told of a running job's intermediate results, where that is short enough to keep. */
  intermediate: Buffer | undefined
  /** A stream whose connection is still open: its end is seen there first. */
  isOpen: boolean
  /** Another run is being arranged. */
  isMoving: boolean
  /** Set when the final state is known, until the ledger has it. */
  end: LiveJobEnd | undefined
}

export interface LiveJobsEvents {
  /** The job is at this node now and wants to be followed. */
  follow: [job: LiveJob]
  /** Nobody has to look after it any more, at this node at least. */
  unfollow: [job: LiveJob]
  ended: [job: LiveJob, end: LiveJobEnd]
  rerun: [job: LiveJob, from: TrackedNode]
}

/** Jobs belong to the address by which a node saw us; under another one every job is unknown, and none need be lost. */
export function isSeenElsewhere({ record: { localAddress }, node }: LiveJob): boolean {
  return localAddress !== '' && node.localAddress !== undefined && node.localAddress !== localAddress
}

/** The unfinished jobs, in memory; the ledger has them too, durably, and the finished ones only there. */
export class LiveJobs extends EventEmitter<LiveJobsEvents> {
  readonly #jobs = new Map<string, LiveJob>()
  /** By what limits count a caller under. */
  readonly #unfinishedOf = new Map<string, number>()
  readonly #ledger: Ledger
  readonly #dispatcher: Dispatcher
  readonly #fleet: Fleet
  readonly #maxPerCaller: number
  readonly #room: RequestRoom
  #intermediateBytes = 0

  constructor(ledger: Ledger, dispatcher: Dispatcher, maxPerCaller: number, room = new RequestRoom(Infinity)) {
    super()
    this.#ledger = ledger
    this.#dispatcher = dispatcher
    this.#fleet = dispatcher.fleet
    this.#maxPerCaller = maxPerCaller
    this.#room = room
  }

  get size(): number {
    return this.#jobs.size
  }

  /** Takes up the jobs that were unfinished when the gateway ended. */
  async restore(): Promise<number> {
    for (const { record, bytes: room } of await this.#ledger.unfinished()) {
      const node = this.#fleet.find(record.node) ?? this.#fleet.adopt(parseAddress(record.node))
      const lease = record.kind === 'job' ? this.#dispatcher.restore(node, workKindOf(record.containers)) : undefined
      const job = this.#add(record, node, lease, room, { ranSeconds: secondsSince(record.runStartedAt) })
      this.#room.add(record.caller, room)
      if (!record.clientGone) this.#count(record.caller, 1)
      this.emit('follow', job)
    }
    return this.#jobs.size
  }

  /** @throws GatewayFault ERR_BATCH_TOO_LARGE where one caller could never have as many unfinished jobs */
  refuseImpossible(count: number): void {
    const limit = this.#maxPerCaller
    if (limit === 0 || count <= limit) return
    throw new GatewayFault(
      'ERR_BATCH_TOO_LARGE',
      `A batch of ${count} jobs can never be taken: MAX_JOBS_PER_CALLER is ${limit}`,
      { params: { setting: 'MAX_JOBS_PER_CALLER', limit, jobs: count } },
    )
  }

  /**
   * Takes places for new jobs of a caller before anything is sent, and room for what the ledger will keep of them; returns how
   * to give back one of them with its bytes. A subscription has a place while its request is under way, and needs no room.
   *
   * @throws GatewayFault ERR_TOO_MANY_JOBS, ERR_BODY_TOO_LARGE, ERR_TOO_MANY_BYTES, ERR_LEDGER_FULL; ERR_LEDGER while jobs could
   * not be recorded, so that no node runs them in vain
   */
  admit(caller: string, jobs: readonly number[], subscriptions = 0): (bytes?: number) => void {
    const { writable, reason = 'unknown' } = this.#ledger.health()
    if (jobs.length > 0 && !writable) throw ledgerFault(reason)
    const count = jobs.length + subscriptions
    const unfinished = this.#unfinishedOf.get(limitKeyOf(caller)) ?? 0
    if (this.#maxPerCaller > 0 && unfinished + count > this.#maxPerCaller) {
      throw new GatewayFault('ERR_TOO_MANY_JOBS', `At most ${this.#maxPerCaller} unfinished jobs are allowed`, {
        params: { limit: this.#maxPerCaller, unfinished },
      })
    }
    this.#room.take(
      caller,
      jobs.reduce((sum, bytes) => sum + bytes, 0),
    )
    this.#count(caller, count)
    return (bytes = 0) => {
      this.#count(caller, -1)
      this.#room.add(caller, -bytes)
    }
  }

  /**
   * Records jobs that a node has accepted, durably. The place and the room that `admit` took are theirs from here on.
   *
   * @throws what the ledger throws; then the jobs are not ours, and the places are still the caller's to give back
   */
  async accept(accepted: readonly AcceptedJob[], answer?: IdempotencyRecord): Promise<LiveJob[]> {
    await this.#ledger.insert(accepted, answer)
    return accepted.map(({ record, room = 0, lease, isOpen }) => {
      // The place of a stream ends with its connection.
      const job = this.#add(record, lease.node, record.kind === 'job' ? lease : undefined, room, { isOpen })
      if (!job.isOpen) this.emit('follow', job)
      return job
    })
  }

  find(id: string): LiveJob | undefined {
    return this.#jobs.get(id)
  }

  /** The caller's job of that id; another's does not exist. */
  ofCaller(caller: string, id: string): LiveJob | undefined {
    const job = this.#jobs.get(id)
    return job?.record.caller === caller ? job : undefined
  }

  /** Its node says that it runs, and what has come of it so far. */
  runs(job: LiveJob, intermediate: Buffer | undefined): void {
    job.knownAt = this.#fleet.now()
    this.#keepIntermediate(job, intermediate)
  }

  /** A stream's connection has ended; what became of the job, its node says. */
  streamClosed(job: LiveJob, leftByClient: boolean): void {
    job.isOpen = false
    if (leftByClient) {
      job.node.load.cancelledStream(this.#fleet.now())
      // It holds a place at the node until its record expires, but the caller is done with it.
      this.#count(job.record.caller, -1)
      job.record = { ...job.record, clientGone: true }
      this.#ledger.markLeft(job.record.id).catch(ignoreRefusal)
    }
    this.emit('follow', job)
  }

  /** The final state; the first one stands. Settles when the ledger has it; never rejects. */
  finish(job: LiveJob, end: LiveJobEnd, lagSeconds: number): Promise<unknown> {
    const { id } = job.record
    if (job.end || this.#jobs.get(id) !== job) return Promise.resolve()
    this.#ended(job, end, lagSeconds)
    const kept = { ...end, finishedAt: steadyClock.stampMs() }
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
    const isUnfinished = (): boolean => !job.end && this.#jobs.get(id) === job
    const end = { state, finishedAt: steadyClock.stampMs() }
    const isWritten = isUnfinished() && (await received.finish(id, end, isUnfinished).catch(ignoreRefusal))
    if (!isWritten) received.drop()
    if (isWritten === undefined || !isUnfinished()) return
    this.#jobs.delete(id)
    this.#ended(job, { state, result: IN_LEDGER, intermediate: undefined }, lagSeconds)
  }

  #ended(job: LiveJob, end: LiveJobEnd, lagSeconds: number): void {
    job.end = end
    this.#keepIntermediate(job, undefined)
    job.lease?.workEnded(end.state === 'success' ? 'success' : 'failure', lagSeconds)
    if (!job.record.clientGone) this.#count(job.record.caller, -1)
    this.#room.add(job.record.caller, -job.room)
    this.emit('unfollow', job)
    this.emit('ended', job, end)
  }

  /** A run began, perhaps, at a node that did not say so: it counts, and nothing will be heard of it. */
  runLost(job: LiveJob): void {
    job.record = { ...job.record, runs: job.record.runs + 1 }
    this.#recordRun(job.record)
  }

  /** The job runs again elsewhere, under its id. */
  moved(job: LiveJob, run: { lease: Lease; nodeJobId: string; localAddress: string }): void {
    const { lease, ...where } = run
    if (job.end) {
      lease.workEnded('cancelled')
      return
    }
    job.lease?.workEnded('failure')
    this.#keepIntermediate(job, undefined)
    this.emit('unfollow', job)
    const newRun = { ...where, node: lease.node.key, runs: job.record.runs + 1, runStartedAt: steadyClock.stampMs() }
    const next = this.#add({ ...job.record, ...newRun }, lease.node, lease, job.room)
    this.emit('rerun', next, job.node)
    this.emit('follow', next)
    this.#recordRun(next.record)
  }

  #recordRun({ id, node, nodeJobId, localAddress, runs, runStartedAt }: JobRecord): void {
    const run = { node, nodeJobId, localAddress, runs, runStartedAt }
    this.#ledger.startRun(id, run, runs - 1).catch(ignoreRefusal)
  }

  /** `ranSeconds`: for how long this run has been going on. */
  #add(
    record: JobRecord,
    node: TrackedNode,
    lease: Lease | undefined,
    room: number,
    { isOpen = false, ranSeconds = 0 } = {},
  ): LiveJob {
    const now = this.#fleet.now()
    const job: LiveJob = {
      record,
      node,
      lease,
      room,
      isOpen,
      unknownLooks: 0,
      knownAt: now,
      runStartedAt: now - ranSeconds,
      intermediate: undefined,
      isMoving: false,
      end: undefined,
    }
    this.#jobs.set(record.id, job)
    return job
  }

  #keepIntermediate(job: LiveJob, bytes: Buffer | undefined): void {
    this.#intermediateBytes -= job.intermediate?.length ?? 0
    const length = bytes?.length ?? 0
    const fits = length <= MAX_INTERMEDIATE_BYTES && this.#intermediateBytes + length <= MAX_INTERMEDIATE_BYTES_IN_ALL
    job.intermediate = fits ? bytes : undefined
    this.#intermediateBytes += job.intermediate?.length ?? 0
  }

  #count(caller: string, change: number): void {
    const key = limitKeyOf(caller)
    const unfinished = (this.#unfinishedOf.get(key) ?? 0) + change
    if (unfinished > 0) this.#unfinishedOf.set(key, unfinished)
    else this.#unfinishedOf.delete(key)
  }
}

/**
 * The ledger holds what it cannot write. It rejects while the gateway ends, and what can never be written, which it logs:
 * then the next start finds the job unfinished.
 */
function ignoreRefusal(): void {}

/** Seconds since a date that an earlier process wrote; a clock that was set back since makes it no younger than now. */
function secondsSince(epochMs: number): number {
  return Math.max(0, (Date.now() - epochMs) / 1000)
}

export interface AcceptedJob {
  readonly record: JobRecord
  readonly request?: Buffer | undefined
  /** The bytes that it was admitted with. */
  readonly room?: number
  readonly lease: Lease
  /** A stream whose pieces are still to come. */
  readonly isOpen?: boolean
}
