import { setTimeout as sleep } from 'node:timers/promises'
import { type Logger, withTimeout } from '../../base/index.ts'
import type { Fleet } from '../../fleet/index.ts'
import type { SharedLedger } from '../../ledger/index.ts'
import type { JobOwner, ReplicaState } from '../../replicas/index.ts'
import type { Failover } from '../follow/failover.ts'
import type { LiveJobs } from '../liveJobs.ts'
import type { NodeAsks } from './nodeAsks.ts'
import { Orphans, type OrphansOptions } from './orphans.ts'
import { type Books, putRight, takeUpOurs } from './putRight.ts'
import { Reconcile } from './reconcile.ts'

/** Ids in one claim. */
const CLAIMED_AT_ONCE = 200
/** Tries to claim after a new life has begun, and the pause before the next one, ms. */
const CLAIM_TRIES = 5
const CLAIM_PAUSE_MS = 300

export interface TakeoverOptions {
  readonly shared: SharedLedger
  readonly live: LiveJobs
  readonly failover: Failover
  readonly fleet: Fleet
  readonly asks: NodeAsks
  readonly logger: Logger
  /** After this time without a sign of life a gateway counts as dead, seconds. */
  readonly replicaTimeoutSeconds: number
  /** A job with no final state and no node to ask for this long has failed, seconds. */
  readonly jobTimeoutSeconds: number
}

/**
 * What becomes of jobs when gateways that share a ledger come and go: those of others that are gone are taken over, those of ours
 * that others have taken over are let go, and where the ledger and this gateway disagree that is put right.
 */
export class Takeover implements JobOwner {
  readonly #options: TakeoverOptions
  readonly #orphansOptions: OrphansOptions
  readonly #books: Books
  readonly #reconcile: Reconcile
  readonly #replicas = new Map<string, Orphans>()
  /** Since when no node has answered, monotonic seconds. */
  #cutOffSince: number | undefined
  #isLeaving = false
  #leaving: Promise<void> | undefined
  readonly #onSeen = (replicas: readonly ReplicaState[]): void => this.#seen(replicas)
  readonly #onDisowned = (id: string): void => this.#options.live.disown(id)
  readonly #onDoubtful = (id: string): void => void this.#clear(id)

  constructor(options: TakeoverOptions) {
    const { shared, live, logger, fleet, failover, asks, jobTimeoutSeconds, replicaTimeoutSeconds } = options
    this.#options = options
    this.#books = { shared, live, logger }
    this.#reconcile = new Reconcile(this.#books, () => fleet.now())
    this.#orphansOptions = {
      ...{ shared, live, failover, fleet, asks, logger, jobTimeoutSeconds },
      graceSeconds: replicaTimeoutSeconds / 2,
      isCutOff: () => this.#isCutOff,
    }
  }

  /** To be called before anything is served. */
  start(): void {
    const { membership } = this.#options.shared.coordination
    membership.attach(this)
    membership.on('seen', this.#onSeen)
    membership.on('disowned', this.#onDisowned)
    this.#options.live.on('doubtful', this.#onDoubtful)
    this.#seen(membership.replicas)
  }

  /** Hands our jobs over: others that are shown them may claim them from now on. We follow the rest, and claim nothing. */
  leave(): Promise<void> {
    const { live, shared } = this.#options
    this.#isLeaving = true
    live.leave()
    return (this.#leaving ??= shared.coordination.membership.leave())
  }

  /** Resolves when no job is ours any more, no other gateway is alive, or the time is over. */
  async untilHandedOver(seconds: number): Promise<void> {
    const { live, shared } = this.#options
    // Then it is known who else is there.
    await this.leave()
    const { membership } = shared.coordination
    const { promise, resolve } = Promise.withResolvers<void>()
    const look = (): void => {
      const isAnotherThere = membership.replicas.some(
        ({ replica, state }) => replica !== membership.self && state === 'alive',
      )
      if (live.size === 0 || !isAnotherThere) resolve()
    }
    live.on('ended', look).on('disowned', look)
    // The others may leave, too.
    membership.on('seen', look)
    look()
    await withTimeout(promise, seconds)
    live.off('ended', look).off('disowned', look)
    membership.off('seen', look)
  }

  stop(): void {
    const { membership } = this.#options.shared.coordination
    this.#isLeaving = true
    membership.off('seen', this.#onSeen)
    membership.off('disowned', this.#onDisowned)
    this.#options.live.off('doubtful', this.#onDoubtful)
  }

  /** Others took us for dead, and may have taken our jobs over. Those that they have not are ours again. */
  async onNewLife(former: string): Promise<void> {
    const { live, logger, shared } = this.#options
    const { self } = shared.coordination.membership
    const ids = live.ids()
    let won = 0
    for (let at = 0; at < ids.length; at += CLAIMED_AT_ONCE) {
      const some = ids.slice(at, at + CLAIMED_AT_ONCE)
      const ours = await this.#claimAgain(former, some, self)
      for (const id of some) if (!ours.has(id)) live.disown(id)
      won += ours.size
    }
    logger.warn('the other gateways took this one for dead', { former, jobs: ids.length, kept: won })
  }

  /** The store has lost changes, which were told to it again as far as they are recent. */
  async onHistoryLost(): Promise<void> {
    try {
      await putRight(this.#books, this.#options.live.ids())
      await takeUpOurs(this.#books)
    } catch (error) {
      // What is still wrong is found when the counts are compared.
      this.#options.logger.warn('jobs could not be put right after the ledger lost changes', { error })
    }
  }

  /** Finds out whose a job is. */
  async #clear(id: string): Promise<void> {
    try {
      await putRight(this.#books, [id])
    } catch (error) {
      this.#options.logger.debug('whose a job is could not be found out', { job: id, error })
    }
  }

  /** What cannot be claimed is let go: nodes show it to us all the same, so that it comes back as any orphan does. */
  async #claimAgain(former: string, ids: readonly string[], self: string): Promise<ReadonlySet<string>> {
    const { shared, logger } = this.#options
    for (let tries = 1; shared.coordination.membership.self === self; tries++) {
      try {
        return await shared.claim(former, ids)
      } catch (error) {
        logger.warn('jobs could not be claimed', { former, jobs: ids.length, error })
        if (tries >= CLAIM_TRIES) break
        await sleep(CLAIM_PAUSE_MS, undefined, { ref: false })
      }
    }
    return new Set()
  }

  #seen(replicas: readonly ReplicaState[]): void {
    const { self, isSure } = this.#options.shared.coordination.membership
    // First our own jobs are to be put right, such as those of a former life, which is among the gateways that are gone.
    if (!isSure) return
    const own = replicas.find(({ replica }) => replica === self)
    if (own) void this.#reconcile.seen(own.jobs)
    if (this.#isLeaving) return
    const others = replicas.filter(({ replica }) => replica !== self)
    if (others.some(({ state }) => state === 'alive')) this.#resignWhereCutOff()
    else this.#cutOffSince = undefined
    this.#lookAt(others)
  }

  #lookAt(others: readonly ReplicaState[]): void {
    const names = new Set<string>()
    for (const { replica, state, jobs, goneMs } of others) {
      if (state === 'alive' || jobs === 0) continue
      names.add(replica)
      void this.#orphansOf(replica).look(state, goneMs)
    }
    for (const [name, orphans] of this.#replicas) {
      if (names.has(name) || orphans.isBusy) continue
      orphans.forget()
      this.#replicas.delete(name)
    }
  }

  #orphansOf(replica: string): Orphans {
    let orphans = this.#replicas.get(replica)
    if (!orphans) this.#replicas.set(replica, (orphans = new Orphans(replica, this.#orphansOptions)))
    return orphans
  }

  /** Whether no node that is listed answers to this gateway. */
  get #isCutOff(): boolean {
    const nodes = [...this.#options.fleet.nodes.values()].filter(({ isInfernet }) => isInfernet)
    return nodes.every(({ contact }) => contact.isDead)
  }

  /** Whether none of our jobs is at a node that answers. */
  get #isOfNoUse(): boolean {
    const { live } = this.#options
    return live.size > 0 && live.ids().every((id) => live.find(id)?.node.contact.isDead)
  }

  /** A gateway that reaches no node, while others are there that may, is of no use to its jobs: it leaves them to the others. */
  #resignWhereCutOff(): void {
    const { fleet, live, logger, replicaTimeoutSeconds, shared } = this.#options
    if (shared.coordination.membership.sharesAddress) return
    const now = fleet.now()
    if (!this.#isOfNoUse || !this.#isCutOff) {
      this.#cutOffSince = undefined
      return
    }
    this.#cutOffSince ??= now
    if (now - this.#cutOffSince < replicaTimeoutSeconds) return
    this.#cutOffSince = undefined
    const ids = live.ids().filter((id) => !live.find(id)?.end)
    logger.warn('no node answers to this gateway: its jobs are left to the others', { jobs: ids.length })
    for (const id of ids) live.disown(id)
    void shared.coordination.membership.resign()
  }
}
