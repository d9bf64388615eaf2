import { EventEmitter } from 'node:events'
import type { Fleet } from '../fleet/fleet.ts'
import type { TrackedNode } from '../fleet/node.ts'
import type { AskedOfNodes } from './judge.ts'
import { Lease, type Released } from './lease.ts'
import type { Selector } from './selector.ts'

/** What a request asks of a backend, as far as choosing one goes. */
export interface WorkRequest {
  /** What answers are judged by. All tries of a request share it, and a job keeps it to its end: nothing large is to hang on it. */
  readonly asked: AskedOfNodes
  /** Cooldowns after a pushback are kept for this; usually endpoint and caller. */
  readonly cooldownKey: string
  /** Requests of one session go to the same backend, as long as that costs nothing. */
  readonly session?: string | undefined
  /** The job's cost by the client's hint. */
  readonly cost?: number | undefined
  /** Backends that were asked before, and are not asked again. */
  readonly tried?: ReadonlySet<TrackedNode>
}

/** No backend that meets the requirement can take the request now. */
export class NoBackendAvailable extends Error {
  override readonly name = 'NoBackendAvailable'
  /** Least seconds until one of those that cool down may be asked again, or 0 if none does. */
  readonly cooldownSeconds: number

  constructor(cooldownSeconds: number) {
    super('No backend can take the request')
    this.cooldownSeconds = cooldownSeconds
  }
}

export interface DispatcherEvents {
  /** Work at this backend has ended, and its place is free. */
  released: [node: TrackedNode]
}

/** Gives each request a place at a backend. Every request passes here, so a queue has its place here too. */
export class Dispatcher extends EventEmitter<DispatcherEvents> implements Released {
  readonly fleet: Fleet
  readonly #selector: Selector

  constructor(fleet: Fleet, selector: Selector) {
    super()
    this.fleet = fleet
    this.#selector = selector
  }

  /**
   * Takes a place at the best backend for a request. Answers at once: there is no queue yet.
   *
   * @param signal aborts, with a fault as its reason, when the place is no longer wanted
   * @throws NoBackendAvailable
   * @throws the signal's reason
   */
  async acquire(request: WorkRequest, signal: AbortSignal): Promise<Lease> {
    signal.throwIfAborted()
    const { asked, cooldownKey, session, cost, tried } = request
    const { requirement, kind } = asked
    const choice = this.#selector.pick(requirement, { except: tried, cooldownKey, session, cost, kind })
    if (!choice.node) throw new NoBackendAvailable(choice.cooldownSeconds)
    return Lease.take(this.fleet, choice.node, asked, this)
  }

  /** Takes a place for a job that already runs at a node, as after a restart of the gateway. */
  restore(node: TrackedNode, workKind: string | undefined): Lease {
    return Lease.restore(this.fleet, node, workKind, this)
  }

  released(node: TrackedNode): void {
    this.emit('released', node)
  }
}
