import type { Logger } from '../../base/index.ts'
import { type Fleet, parseAddress, type TrackedNode } from '../../fleet/index.ts'
import type { SharedLedger, UnfinishedJob } from '../../ledger/index.ts'
import type { ReplicaState } from '../../replicas/index.ts'
import type { Failover } from '../follow/failover.ts'
import type { LiveJobs } from '../liveJobs.ts'
import type { NodeAsks, Sight } from './nodeAsks.ts'

/** Ids in one claim. */
const CLAIMED_AT_ONCE = 200
/** How often a node is asked for jobs that only their result can help, seconds. */
const SELDOM_SECONDS = 15

export interface OrphansOptions {
  readonly shared: SharedLedger
  readonly live: LiveJobs
  readonly failover: Failover
  readonly fleet: Fleet
  readonly asks: NodeAsks
  readonly logger: Logger
  /** How long jobs of a gateway that is gone wait for another that their nodes show them to, seconds. */
  readonly graceSeconds: number
  /** A job with no final state and no node to ask for this long has failed, seconds. */
  readonly jobTimeoutSeconds: number
  /** Whether this gateway reaches no node at all: then it cannot judge what became of a job. */
  readonly isCutOff: () => boolean
}

/**
 * The jobs of one gateway that is gone, or is leaving. A gateway that can read a job at its node claims and follows it. A job that
 * none can read within the grace is run again where that is allowed; else it waits for a gateway that can read it, until
 * `JOB_TIMEOUT`. A claim is atomic, so several gateways may do the same at the same time. Nodes are asked separately: a
 * silent one delays only its own jobs. Times are monotonic seconds.
 */
export class Orphans {
  readonly #replica: string
  readonly #options: OrphansOptions
  /** When the node of each job is to be asked again; while it is being asked that is not known. */
  readonly #askAt = new Map<string, number>()
  /** Nodes that are being asked. */
  readonly #asked = new Set<string>()
  /** Nodes that no list names and that are known for these jobs alone. */
  readonly #adopted = new Set<TrackedNode>()
  /** Since when we know that the gateway is gone. */
  #goneSince: number | undefined
  /** When it went, as far as is known: this gateway may have been started long after that. */
  #goneAt = Infinity
  #lookAt = -Infinity
  #isReading = false

  constructor(replica: string, options: OrphansOptions) {
    this.#replica = replica
    this.#options = options
  }

  /** Whether its jobs are being read, or nodes asked for them. */
  get isBusy(): boolean {
    return this.#isReading || this.#asked.size > 0
  }

  /**
   * Asks the nodes of those jobs whose turn it is, and claims what can be claimed. Does not wait for the nodes: those that are being
   * asked already are left out. Never rejects. `goneMs`: for how long the gateway has been gone by the clock of the ledger.
   */
  async look(state: Exclude<ReplicaState['state'], 'alive'>, goneMs = 0): Promise<void> {
    const now = this.#options.fleet.now()
    if (state === 'gone') this.#goneAt = Math.min(this.#goneAt, now - goneMs / 1000)
    if (state === 'gone' && this.#goneSince === undefined) {
      this.#goneSince = now
      this.#lookAt = now
      this.#askAt.clear()
    }
    if (now < this.#lookAt || this.#isReading) return
    this.#isReading = true
    try {
      const jobs = await this.#options.shared.ownedBy(this.#replica)
      this.#keepTrackOf(jobs, now)
      for (const [key, ofNode] of byNode(jobs)) {
        const due = ofNode.filter(({ record }) => this.#askAt.get(record.id)! <= now)
        if (due.length > 0 && !this.#asked.has(key)) void this.#askApart(key, due)
      }
      this.#planLook()
    } catch (error) {
      this.#options.logger.debug('jobs of another gateway could not be read', { replica: this.#replica, error })
    } finally {
      this.#isReading = false
    }
  }

  /** Lets go of the nodes that were known for these jobs alone. */
  forget(): void {
    for (const node of this.#adopted) this.#release(node)
    this.#adopted.clear()
  }

  /** A stream's connection goes on while its gateway is leaving: it is claimed when that is gone. */
  #mayBeClaimed({ record }: UnfinishedJob): boolean {
    return this.#goneSince !== undefined || record.kind === 'job'
  }

  #keepTrackOf(jobs: readonly UnfinishedJob[], now: number): void {
    const claimable = new Set(jobs.filter((job) => this.#mayBeClaimed(job)).map(({ record }) => record.id))
    for (const id of this.#askAt.keys()) if (!claimable.has(id)) this.#askAt.delete(id)
    for (const id of claimable) if (!this.#askAt.has(id)) this.#askAt.set(id, now)
  }

  #planLook(): void {
    const now = this.#options.fleet.now()
    // More may come while it is there. When a node has been asked, this is planned again.
    let next = Infinity
    for (const askAt of this.#askAt.values()) next = Math.min(next, askAt)
    if (this.#goneSince === undefined) next = Math.min(next, now + SELDOM_SECONDS)
    else if (this.#askAt.size === 0) next = now
    this.#lookAt = next
  }

  async #askApart(key: string, jobs: readonly UnfinishedJob[]): Promise<void> {
    this.#asked.add(key)
    for (const { record } of jobs) this.#askAt.set(record.id, Infinity)
    try {
      await this.#askNode(key, jobs)
    } catch (error) {
      this.#options.logger.debug('jobs of another gateway could not be claimed', { replica: this.#replica, error })
    } finally {
      this.#asked.delete(key)
      const now = this.#options.fleet.now()
      for (const { record } of jobs) if (this.#askAt.get(record.id) === Infinity) this.#askAt.set(record.id, now)
      this.#planLook()
    }
  }

  async #askNode(key: string, jobs: readonly UnfinishedJob[]): Promise<void> {
    const node = this.#nodeAt(key)
    const sights = await this.#options.asks.ask(node, jobs)
    const sightOf = (job: UnfinishedJob): Sight => sights.get(job) ?? 'unclear'
    await this.#adopt(jobs.filter((job) => sightOf(job) === 'known'))
    const unseen = jobs.filter((job) => sightOf(job) !== 'known')
    if (this.#isOverdue) return this.#giveUp(unseen)
    await this.#takeOver(unseen.filter((job) => this.#isLost(job, node, sightOf(job))))
    for (const job of unseen) this.#planNext(job, node)
  }

  #planNext(job: UnfinishedJob, node: TrackedNode): void {
    const { fleet, jobTimeoutSeconds } = this.#options
    const { id } = job.record
    // Claimed.
    if (!this.#askAt.has(id)) return
    const pause = this.#isForOthers(job, node) ? Math.min(SELDOM_SECONDS, jobTimeoutSeconds) : 0
    this.#askAt.set(id, fleet.now() + pause)
  }

  /** Whether all that can be done is to ask for it now and then: its own gateway follows it, or it must not be run again. */
  #isForOthers({ record }: UnfinishedJob, node: TrackedNode): boolean {
    return this.#goneSince === undefined || node.answersInTurn || !this.#options.failover.mayTakeOver(record)
  }

  #isLost(job: UnfinishedJob, node: TrackedNode, sight: Sight): boolean {
    const { fleet, graceSeconds, isCutOff } = this.#options
    if (this.#isForOthers(job, node) || isCutOff()) return false
    if (fleet.now() - this.#goneSince! < graceSeconds) return false
    return sight === 'unknown' || (sight === 'silent' && node.contact.isDead)
  }

  /** The nodes have the grace to show us a job, however long its gateway has been gone. */
  get #isOverdue(): boolean {
    const { fleet, graceSeconds, jobTimeoutSeconds } = this.#options
    if (this.#goneSince === undefined) return false
    const now = fleet.now()
    return now - this.#goneAt >= jobTimeoutSeconds && now - this.#goneSince >= Math.min(graceSeconds, jobTimeoutSeconds)
  }

  /** Follows jobs that their node shows to us: no second run. */
  async #adopt(jobs: readonly UnfinishedJob[]): Promise<void> {
    for await (const { record } of this.#claim(jobs)) this.#options.live.adopt(record)
  }

  /** Runs jobs again that no gateway can read. */
  async #takeOver(jobs: readonly UnfinishedJob[]): Promise<void> {
    const { live, failover } = this.#options
    for await (const { record } of this.#claim(jobs)) {
      const job = live.adopt(record, { isOrphan: true })
      // Of a dead node the follower learns by itself.
      if (!job.node.contact.isFailing) failover.takenOver(job)
    }
  }

  async #giveUp(jobs: readonly UnfinishedJob[]): Promise<void> {
    const { live, failover } = this.#options
    for await (const { record } of this.#claim(jobs)) failover.lostWithGateway(live.adopt(record, { isOrphan: true }))
  }

  /** Those that are ours from now on, as the ledger has them. */
  async *#claim(jobs: readonly UnfinishedJob[]): AsyncGenerator<UnfinishedJob> {
    const { shared, logger } = this.#options
    for (let at = 0; at < jobs.length; at += CLAIMED_AT_ONCE) {
      const some = jobs.slice(at, at + CLAIMED_AT_ONCE)
      const ids = some.map(({ record }) => record.id)
      const won = await shared.claim(this.#replica, ids)
      if (won.size === 0) continue
      logger.info('jobs of another gateway taken over', { replica: this.#replica, jobs: won.size })
      for (const id of won) this.#askAt.delete(id)
      const claimed = some.filter(({ record }) => won.has(record.id))
      // One that still works may have run a job again since its jobs were read.
      yield* this.#goneSince === undefined ? await this.#readAgain(claimed) : claimed
    }
  }

  async #readAgain(jobs: readonly UnfinishedJob[]): Promise<UnfinishedJob[]> {
    const { shared } = this.#options
    return Promise.all(
      jobs.map(async ({ record, bytes }) => ({ record: (await shared.find(record.id)) ?? record, bytes })),
    )
  }

  #nodeAt(key: string): TrackedNode {
    const { fleet } = this.#options
    const known = fleet.find(key)
    if (known) return known
    const node = fleet.adopt(parseAddress(key))
    this.#adopted.add(node)
    return node
  }

  #release(node: TrackedNode): void {
    const { fleet, live } = this.#options
    // The follower releases a node that has jobs of ours.
    if (live.ids().every((id) => live.find(id)?.node !== node)) fleet.release(node)
  }
}

function byNode(jobs: readonly UnfinishedJob[]): Map<string, UnfinishedJob[]> {
  const groups = new Map<string, UnfinishedJob[]>()
  for (const job of jobs) {
    const group = groups.get(job.record.node)
    if (group) group.push(job)
    else groups.set(job.record.node, [job])
  }
  return groups
}
