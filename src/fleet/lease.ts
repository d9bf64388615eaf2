import type { Fleet } from './fleet.ts'
import type { WorkMark, WorkOutcome } from './load/work.ts'
import type { TrackedNode } from './node.ts'

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

  private constructor(fleet: Fleet, node: TrackedNode, startedAt: number, mark: WorkMark, isExchangeOpen: boolean) {
    this.#fleet = fleet
    this.node = node
    this.#startedAt = startedAt
    this.#mark = mark
    this.#isExchangeOpen = isExchangeOpen
  }

  /** Takes a place at the node for a request that is about to be sent.
   * @param workKind the name of its kind of work; see `Need` */
  static take(fleet: Fleet, node: TrackedNode, workKind?: string): Lease {
    const now = fleet.now()
    node.inFlight++
    node.counts.requests++
    return new Lease(fleet, node, now, node.load.started(now, workKind), true)
  }

  /** Takes a place for a job that already runs there, as after a restart of the gateway. */
  static restore(fleet: Fleet, node: TrackedNode, workKind?: string): Lease {
    const now = fleet.now()
    return new Lease(fleet, node, now, node.load.restored(now, workKind), false)
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
