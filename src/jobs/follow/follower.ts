import type { Dispatcher } from '../../dispatch/index.ts'
import type { Fleet, TrackedNode } from '../../fleet/index.ts'
import { type Identity, type Logger, type MemoryBudget, Semaphore } from '../../base/index.ts'
import type { Transport } from '../../upstream/index.ts'
import type { Ledger, ReceivedResult } from '../../ledger/index.ts'
import type { Askers } from '../askers.ts'
import type { LiveJob, LiveJobs, ProvisionalEnd } from '../liveJobs.ts'
import type { StatesByHand } from '../statesByHand.ts'
import type { Failover } from './failover.ts'
import { NodeFollower } from './nodeFollower.ts'
import { hasEnded, type NodeJob } from './readAnswer.ts'

/** Long answers of all nodes that are read at once. One that takes longer than this gives its place to the next and goes on. */
const MAX_LONG_READS = 8
const LONG_READ_SECONDS = 10
/** While requests wait for a place at a node, each end that is seen sooner is a place used sooner. Seconds. */
const WANTED_PAUSE_SECONDS = 0.1
/** Looks in a row at which a node must not know a job before it counts as forgotten. */
const FORGOTTEN_AFTER_LOOKS = 2
/**
 * How long a final state without a result may be followed by one, seconds: a node ends a container after three minutes, and keeps no
 * record of an unfinished job for longer than a quarter of an hour.
 */
const SECONDS_PER_CONTAINER = 180
const MOST_PROVISIONAL_SECONDS = 900

export interface FollowerOptions {
  readonly fleet: Fleet
  readonly transport: Transport
  readonly memory: MemoryBudget
  readonly live: LiveJobs
  readonly dispatcher: Pick<Dispatcher, 'on'>
  readonly failover: Failover
  readonly identity: Identity
  readonly askers: Askers
  readonly periodSeconds: number
  readonly logger: Logger
  readonly ledger: Ledger
  readonly byHand: StatesByHand
  /** Longest result that is kept; a longer one ends its job. */
  readonly maxResultBytes: number
  /** The setting that says so; `MAX_RESULT` where none is named. */
  readonly maxResultSetting?: string
  /** Replaces the time for which a result may follow a final state without one, for tests. */
  readonly provisionalSeconds?: number
  /** Replaces the time after which an answer goes on beside other questions, for tests. */
  readonly shortSeconds?: number
}

/** Learns what becomes of jobs: one follower a node, so that a thousand waiting clients cost a node one call. */
export class Follower {
  readonly #options: FollowerOptions
  readonly #followers = new Map<TrackedNode, NodeFollower>()
  readonly #longReads = new Semaphore(MAX_LONG_READS, LONG_READ_SECONDS)

  constructor(options: FollowerOptions) {
    this.#options = options
    options.live.on('follow', (job) => this.#followerOf(job.node).add(job))
    options.askers.on('asked', (job, address) => this.#want(job, address, false))
    options.askers.on('awaited', (job, address) => this.#want(job, address, true))
    options.live.on('unfollow', (job) => this.#remove(job))
    options.dispatcher.on('wanted', (node) => this.#followers.get(node)?.lookSoon(WANTED_PAUSE_SECONDS))
    options.fleet.on('node:removed', (node) => this.#forgetIdle(node))
  }

  /** The node has news of this job, as after `PUT /api/status`. */
  lookSoon(job: LiveJob): void {
    this.#followers.get(job.node)?.lookSoon()
  }

  stop(): void {
    for (const follower of this.#followers.values()) follower.stop()
  }

  #followerOf(node: TrackedNode): NodeFollower {
    let follower = this.#followers.get(node)
    if (!follower) {
      follower = new NodeFollower(node, {
        ...this.#options,
        longReads: this.#longReads,
        onLook: (job, told, since) => this.#looked(job, told, since),
        onReceived: (job, state, received, since) => this.#received(job, state, received, since),
        onTooLarge: (job) => this.#tooLarge(job),
        onSilence: (silent, jobs) => this.#silent(silent, jobs),
        onNoAccount: (jobs) => this.#unaccounted(jobs),
      })
      this.#followers.set(node, follower)
    }
    return follower
  }

  #want(job: LiveJob, address: string, waits: boolean): void {
    this.#followers.get(job.node)?.want(job, address, { waits })
  }

  #remove(job: LiveJob): void {
    this.#followers.get(job.node)?.remove(job)
    this.#forgetIdle(job.node)
  }

  /** A node that no list names any more is kept only as long as it has jobs. */
  #forgetIdle(node: TrackedNode): void {
    const follower = this.#followers.get(node)
    if (!node.isRetired || (follower && follower.size > 0)) return
    follower?.stop()
    this.#followers.delete(node)
    this.#options.fleet.release(node)
  }

  #looked(job: LiveJob, told: NodeJob | undefined, sinceSeconds: number): void {
    if (job.end || job.isMoving) return
    if (!told) {
      job.unknownLooks++
      if (job.unknownLooks < FORGOTTEN_AFTER_LOOKS) return
      return job.provisional ? this.#leaveAt(job, job.provisional) : this.#options.failover.forgotten(job)
    }
    job.unknownLooks = 0
    if (told.status === 'running') return this.#options.live.runs(job, told.intermediate)
    if (!hasEnded(told)) return this.#setByHand(job, told.status, told.intermediate)
    const { maxResultBytes } = this.#options
    if ((told.result?.length ?? 0) > maxResultBytes) return this.#tooLarge(job)
    const intermediate = (told.intermediate?.length ?? 0) > maxResultBytes ? undefined : told.intermediate
    const end = { state: told.status, result: told.result ?? Buffer.from('null'), intermediate }
    // The job ended somewhere between the two looks: half the time between them, on the mean.
    void this.#options.live.finish(job, end, sinceSeconds / 2)
  }

  /** The node tells a final state without a result: one may follow, and then counts. */
  #setByHand(job: LiveJob, state: 'success' | 'failed', intermediate: Buffer | undefined): void {
    const { live, fleet, provisionalSeconds } = this.#options
    const now = fleet.now()
    const { since = now, told } = job.provisional ?? {}
    job.provisional = { state, since, told }
    live.runs(job, intermediate)
    const allowed = Math.min(MOST_PROVISIONAL_SECONDS, SECONDS_PER_CONTAINER * job.record.containers.length)
    if (now - since >= (provisionalSeconds ?? allowed)) this.#leaveAt(job, job.provisional)
    else if (told !== state) void this.#tellByHand(job, state)
  }

  async #tellByHand(job: LiveJob, state: ProvisionalEnd['state']): Promise<void> {
    const { byHand, live } = this.#options
    if (!(await byHand.publish(job.record.id, state)) || !job.provisional) return
    job.provisional = { ...job.provisional, told: state }
    if (live.isUnfinished(job)) live.emit('provisional', job)
  }

  /** No result is to be expected any more. */
  #leaveAt(job: LiveJob, { state }: ProvisionalEnd): void {
    void this.#options.live.finish(job, { state, result: Buffer.from('null'), intermediate: job.intermediate }, 0)
  }

  async #received(
    job: LiveJob,
    state: 'success' | 'failed',
    received: ReceivedResult,
    sinceSeconds: number,
  ): Promise<void> {
    if (job.end || job.isMoving) received.drop()
    else await this.#options.live.finishReceived(job, state, received, sinceSeconds / 2)
  }

  #tooLarge(job: LiveJob): void {
    const { failover, maxResultBytes, maxResultSetting = 'MAX_RESULT' } = this.#options
    if (job.end || job.isMoving) return
    failover.resultTooLarge(job, `The result is larger than ${maxResultBytes} bytes (${maxResultSetting})`)
  }

  #silent(node: TrackedNode, jobs: readonly LiveJob[]): void {
    if (!node.contact.isDead) return
    for (const job of jobs) {
      if (job.end || job.isMoving) continue
      if (job.provisional) this.#leaveAt(job, job.provisional)
      else this.#options.failover.nodeDied(job)
    }
  }

  #unaccounted(jobs: readonly LiveJob[]): void {
    for (const job of jobs) if (!job.end && !job.isMoving) this.#options.failover.unaccounted(job)
  }
}
