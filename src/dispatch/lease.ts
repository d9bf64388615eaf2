import type { Fleet } from '../fleet/fleet.ts'
import type { Trial } from '../fleet/load/outliers/outliers.ts'
import type { WorkMark, WorkOutcome } from '../fleet/load/work.ts'
import type { TrackedNode } from '../fleet/node.ts'
import type { CacheUse } from './warmCaches/serviceCache.ts'
import { judge, type AskedOfNodes, type Verdict } from './judge.ts'
import { isPushback } from './refusal.ts'
import type { RunningCharge, WorkMeter } from './workMeter.ts'

/** What a lease has besides its place. All of it is optional. */
export interface LeaseExtras {
  readonly told?: Released
  /** What the request tells of the service's cache. */
  readonly cacheUse?: CacheUse | undefined
  /** See `Lease.routing`. */
  readonly routing?: string | undefined
  /** What it costs its caller. */
  readonly charge?: RunningCharge | undefined
}

/** Is called when there is a free place again. */
export interface Released {
  released(node: TrackedNode): void
  /** The node has answered that it wants no more for now. */
  pushedBack(node: TrackedNode, status: number, caller: string): void
}

/**
 * A place at one backend: counted from the moment the backend is chosen, given back exactly once.
 * Exchange (an open request) and work may end apart: an async job goes on after its submission was answered. Exchanges end in
 * `settle` alone, and so does all work that ends with them.
 */
export class Lease {
  readonly node: TrackedNode
  readonly fleet: Fleet
  /** Of a request with a prompt: learns of its first token and its answer from the exchange, of its end from this lease. */
  readonly cacheUse: CacheUse | undefined
  /** Why the node was chosen, as `X-Routing-Reason` tells it; undefined where answers do not tell or no choice was made. */
  readonly routing: string | undefined
  /** Says at its end how much work it was; to be set before that. */
  meter: WorkMeter | undefined
  readonly #charge: RunningCharge | undefined
  readonly #startedAt: number
  readonly #mark: WorkMark
  readonly #told: Released | undefined
  #isExchangeOpen: boolean
  #isWorking = true
  #asked: AskedOfNodes | undefined
  /** What this request tries out. */
  #trial: Trial<TrackedNode> | undefined
  #verdict: Verdict | undefined

  private constructor(fleet: Fleet, node: TrackedNode, { now, mark, isExchangeOpen, extras }: Begin) {
    this.fleet = fleet
    this.node = node
    this.cacheUse = extras.cacheUse
    this.routing = extras.routing
    this.#charge = extras.charge
    this.#startedAt = now
    this.#mark = mark
    this.#isExchangeOpen = isExchangeOpen
    this.#told = extras.told
  }

  /**
   * Takes a place at the node for a request that is about to be sent.
   *
   * @param asked what it is a request for, by which costs are learnt and the answer is judged; without it, they are not
   */
  static take(fleet: Fleet, node: TrackedNode, asked?: AskedOfNodes, extras: LeaseExtras = NOTHING): Lease {
    const now = fleet.now()
    node.inFlight++
    node.counts.requests++
    const mark = node.load.started(now, asked?.requirement.workKind)
    const lease = new Lease(fleet, node, { now, mark, isExchangeOpen: true, extras })
    lease.#asked = asked
    if (asked && fleet.outliers.isActive) lease.#trial = fleet.outliers.started(asked.kind, node, now)
    return lease
  }

  /** Takes a place for a job that already runs there, as after a restart of the gateway. */
  static restore(fleet: Fleet, node: TrackedNode, workKind: string | undefined, told: Released): Lease {
    const now = fleet.now()
    const mark = node.load.restored(now, workKind)
    return new Lease(fleet, node, { now, mark, isExchangeOpen: false, extras: { told } })
  }

  /** The kind of work by which backends are compared. */
  get kind(): string | undefined {
    return this.#asked?.kind
  }

  /** Whether it tries out a node that is set aside for this kind of work. */
  get isTrial(): boolean {
    return this.#trial !== undefined
  }

  /** What the node's answer says of it; undefined before `judged`. */
  get verdict(): Verdict | undefined {
    return this.#verdict
  }

  /** The node has answered: what that says of it. To be told once; of an answer that is streamed, at its head. */
  judged(verdict: Verdict, status: number): void {
    this.#verdict = verdict
    if (verdict === 'pushback' && isPushback(status))
      this.#told?.pushedBack(this.node, status, this.#asked?.caller ?? '')
    if (this.#asked) judge(this.fleet, this.node, this.#asked, { verdict, status, trial: this.#trial })
  }

  /** The request is over. Its work may go on. */
  exchangeEnded(): void {
    if (!this.#isExchangeOpen) return
    this.#isExchangeOpen = false
    this.node.inFlight--
    if (this.#trial) this.fleet.outliers.trialEnded(this.#trial)
  }

  /** The work has ended, and the place is free; `lagSeconds` is how long ago at most. */
  workEnded(outcome: WorkOutcome, lagSeconds = 0): void {
    if (!this.#isWorking) return
    this.#isWorking = false
    const now = this.fleet.now()
    this.node.load.ended(now, { outcome, lagSeconds, mark: this.#mark })
    this.cacheUse?.ended(outcome, now)
    const seconds = Math.max(0, now - this.#startedAt - lagSeconds)
    if (outcome === 'success') this.node.load.latencyObserved(seconds)
    this.#charge?.ended(this.node, { outcome, seconds, now, meter: this.meter })
    this.#told?.released(this.node)
  }
}

interface Begin {
  readonly now: number
  readonly mark: WorkMark
  readonly isExchangeOpen: boolean
  readonly extras: LeaseExtras
}

const NOTHING: LeaseExtras = {}
