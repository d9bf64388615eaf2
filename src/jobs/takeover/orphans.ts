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

/** A job that waits for a new gateway. Times are monotonic seconds. */
interface Orphan {
  /** Since when we know that its gateway is gone. */
  readonly since: number
  /** When its node is to be asked again. */
  askAt: number
}

/**
 * The jobs of one gateway that is gone, or is leaving. Whoever is shown a job by its node claims it and follows it. What no
 * gateway is shown within the grace is run again where that is allowed; else it waits for a gateway that is shown it, until
 * `JOB_TIMEOUT`. A claim is atomic, so several gateways may do the same at the same time.
 */
export class Orphans {
  readonly #replica: string
  readonly #options: OrphansOptions
  readonly #orphans = new Map<string, Orphan>()
  /** Nodes that no list names and that are known for these jobs alone. */
  readonly #adopted = new Set<TrackedNode>()
  #goneSince: number | undefined
  #lookAt = -Infinity

  constructor(replica: string, options: OrphansOptions) {
    this.#replica = replica
    this.#options = options
  }

  /** Asks the nodes of those jobs whose turn it is, and claims what can be claimed. Rejects where the ledger cannot be read. */
  async look(state: Exclude<ReplicaState['state'], 'alive'>): Promise<void> {
    const { fleet, shared } = this.#options
    const now = fleet.now()
    if (state === 'gone' && this.#goneSince === undefined) {
      this.#goneSince = now
      this.#lookAt = now
      this.#orphans.clear()
    }
    if (now < this.#lookAt) return
    const jobs = await shared.ownedBy(this.#replica)
    this.#keepTrackOf(jobs, now)
    const due = jobs.filter((job) => this.#mayBeClaimed(job) && this.#orphanOf(job).askAt <= now)
    await Promise.all([...byNode(due)].map(([key, ofNode]) => this.#askNode(key, ofNode)))
    this.#lookAt = Infinity
    for (const { askAt } of this.#orphans.values()) this.#lookAt = Math.min(this.#lookAt, askAt)
    // There are jobs that it still looks after, or more may come.
    if (this.#lookAt === Infinity) this.#lookAt = state === 'gone' ? now : now + SELDOM_SECONDS
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
    const ids = new Set(jobs.map(({ record }) => record.id))
    for (const id of this.#orphans.keys()) if (!ids.has(id)) this.#orphans.delete(id)
    for (const job of jobs) {
      const { id } = job.record
      if (this.#mayBeClaimed(job) && !this.#orphans.has(id)) this.#orphans.set(id, { since: now, askAt: now })
    }
  }

  #orphanOf({ record }: UnfinishedJob): Orphan {
    return this.#orphans.get(record.id)!
  }

  async #askNode(key: string, jobs: readonly UnfinishedJob[]): Promise<void> {
    const node = this.#nodeAt(key)
    const sights = await this.#options.asks.ask(node, jobs)
    const sightOf = (job: UnfinishedJob): Sight => sights.get(job) ?? 'unclear'
    await this.#adopt(jobs.filter((job) => sightOf(job) === 'known'))
    const unseen = jobs.filter((job) => sightOf(job) !== 'known')
    await this.#giveUp(unseen.filter((job) => this.#isOverdue(job)))
    const waiting = unseen.filter((job) => !this.#isOverdue(job))
    await this.#takeOver(waiting.filter((job) => this.#isLost(job, node, sightOf(job))))
    for (const job of waiting) this.#planNext(job, node)
  }

  #planNext(job: UnfinishedJob, node: TrackedNode): void {
    const { fleet, jobTimeoutSeconds } = this.#options
    const orphan = this.#orphans.get(job.record.id)
    // Claimed.
    if (!orphan) return
    orphan.askAt = fleet.now()
    if (this.#isForOthers(job, node)) orphan.askAt += Math.min(SELDOM_SECONDS, jobTimeoutSeconds)
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

  #isOverdue(job: UnfinishedJob): boolean {
    const { fleet, jobTimeoutSeconds } = this.#options
    return this.#goneSince !== undefined && fleet.now() - this.#orphanOf(job).since >= jobTimeoutSeconds
  }

  /** Follows jobs that their node shows to us: no second run. */
  async #adopt(jobs: readonly UnfinishedJob[]): Promise<void> {
    for await (const { record } of this.#claim(jobs)) this.#options.live.adopt(record)
  }

  /** Runs jobs again that nobody is shown. */
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
      for (const id of won) this.#orphans.delete(id)
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
    // One with jobs of ours is let go by whoever follows them.
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
