import type { Fleet } from '../fleet/fleet.ts'
import { judge, type AskedOfNodes, type Verdict } from './judge.ts'
import type { Trial } from '../fleet/load/outliers/outliers.ts'
import type { WorkMark, WorkOutcome } from '../fleet/load/work.ts'
import type { TrackedNode } from '../fleet/node.ts'

/**
 * One piece of work at one node: counted from the moment the node is chosen, given back exactly once.
 * Exchange (an open request) and work may end apart: an async job goes on after its submission was answered.
 */
export class Lease {
  readonly node: TrackedNode
  readonly #fleet: Fleet
  readonly #startedAt: number
  readonly #mark: WorkMark
  #isExchangeOpen: boolean
  #isWorking = true
  #isHandedOver = false
  #asked: AskedOfNodes | undefined
  /** What this request tries out. */
  #trial: Trial<TrackedNode> | undefined
  #hasRefused = false

  private constructor(fleet: Fleet, node: TrackedNode, startedAt: number, mark: WorkMark, isExchangeOpen: boolean) {
    this.#fleet = fleet
    this.node = node
    this.#startedAt = startedAt
    this.#mark = mark
    this.#isExchangeOpen = isExchangeOpen
  }

  /**
   * Takes a place at the node for a request that is about to be sent.
   *
   * @param asked what it is a request for, by which costs are learnt and the answer is judged; without it, they are not
   */
  static take(fleet: Fleet, node: TrackedNode, asked?: AskedOfNodes): Lease {
    const now = fleet.now()
    node.inFlight++
    node.counts.requests++
    const lease = new Lease(fleet, node, now, node.load.started(now, asked?.requirement.workKind), true)
    lease.#asked = asked
    if (asked && fleet.outliers.isActive) lease.#trial = fleet.outliers.started(asked.kind, node, now)
    return lease
  }

  /** Takes a place for a job that already runs there, as after a restart of the gateway. */
  static restore(fleet: Fleet, node: TrackedNode, workKind?: string): Lease {
    const now = fleet.now()
    return new Lease(fleet, node, now, node.load.restored(now, workKind), false)
  }

  /** Whether it tries out a node that is set aside for this kind of work. */
  get isTrial(): boolean {
    return this.#trial !== undefined
  }

  /** Whether the node's answer was a refusal. */
  get hasRefused(): boolean {
    return this.#hasRefused
  }

  /** The node has answered: what that says of it. To be told once; of an answer that is streamed, at its head. */
  judged(verdict: Verdict, status: number): void {
    this.#hasRefused = verdict === 'refused'
    if (this.#asked) judge(this.#fleet, this.node, this.#asked, { verdict, status, trial: this.#trial })
  }

  /** From here on the work ends with `jobEnded`, not with the exchange. */
  handOver(): void {
    this.#isHandedOver = true
  }

  /** The exchange has ended, and with it the work, unless that was handed over. */
  exchangeEnded(outcome: WorkOutcome): void {
    if (this.#isExchangeOpen) {
      this.#isExchangeOpen = false
      this.node.inFlight--
      if (this.#trial) this.#fleet.outliers.trialEnded(this.#trial)
    }
    if (!this.#isHandedOver) this.#end(outcome, 0)
  }

  /** An async job has ended; `lagSeconds` is how long ago at most. */
  jobEnded(outcome: WorkOutcome, lagSeconds: number): void {
    this.#end(outcome, lagSeconds)
  }

  #end(outcome: WorkOutcome, lagSeconds: number): void {
    if (!this.#isWorking) return
    this.#isWorking = false
    const now = this.#fleet.now()
    this.node.load.ended(now, { outcome, lagSeconds, mark: this.#mark })
    if (outcome === 'success') this.node.load.latencyObserved(now - this.#startedAt - lagSeconds)
  }
}
