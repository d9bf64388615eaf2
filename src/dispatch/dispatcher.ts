import { EventEmitter } from 'node:events'
import type { Fleet } from '../fleet/fleet.ts'
import type { TrackedNode } from '../fleet/node.ts'
import { Lease, type Released } from './lease.ts'
import type { Requirement } from './requirement.ts'
import { Restarts } from './restarts.ts'
import { routingText } from './routingReason.ts'
import type { Choice, PickOptions, Selector } from './selector.ts'
import type { WorkRequest } from './workRequest.ts'

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

export interface DispatcherOptions {
  /** Whether leases say why their backend was chosen: see `Lease.routing`. */
  readonly tellsReasons?: boolean
}

/** Gives each request a place at a backend. Every request passes here, so a queue has its place here too. */
export class Dispatcher extends EventEmitter<DispatcherEvents> implements Released {
  readonly fleet: Fleet
  readonly #selector: Selector
  readonly #restarts: Restarts
  readonly #tellsReasons: boolean

  constructor(fleet: Fleet, selector: Selector, { tellsReasons = false }: DispatcherOptions = {}) {
    super()
    this.#tellsReasons = tellsReasons
    this.fleet = fleet
    this.#restarts = new Restarts(fleet)
    this.#selector = selector
  }

  /**
   * Takes a place at the best backend for a request, or where there is none, at one that was away and is back. Answers at once:
   * there is no queue yet.
   *
   * @param signal aborts, with a fault as its reason, when the place is no longer wanted
   * @throws NoBackendAvailable
   * @throws the signal's reason
   */
  async acquire(request: WorkRequest, signal: AbortSignal): Promise<Lease> {
    signal.throwIfAborted()
    const { asked, cooldownKey, session, prompt, cost, tried } = request
    const { requirement, kind } = asked
    const options = { except: tried, cooldownKey, session, prompt, cost, kind }
    const choice = this.#selector.pick(requirement, options)
    const node = choice.node ?? this.#restarts.returned(request)
    if (!node) throw new NoBackendAvailable(choice.cooldownSeconds)
    // Before anything is taken: scores are those by which it was chosen.
    const routing = this.#tellsReasons ? this.#routingOf(requirement, options, choice) : undefined
    const cacheUse = prompt && this.#selector.caches?.begin(node, prompt, choice.warm)
    return Lease.take(this.fleet, node, asked, { told: this, cacheUse, routing })
  }

  #routingOf(requirement: Requirement, options: PickOptions, choice: Choice): string {
    if (choice.node) return routingText(choice.reason, this.#selector.scores(requirement, options, 2))
    // One that was away and is back: there was no other.
    return routingText(choice.reason === 'retried' ? 'retried' : 'onlyOne', [])
  }

  /** Whether backends that could take the request have taken no connections since a moment ago: then they probably restart. */
  mayReturn(request: WorkRequest): boolean {
    return this.#restarts.awaited(request).length > 0
  }

  /**
   * Waits until one of these is back, at most this long. Returns whether it is worth asking for a place again.
   *
   * @throws the signal's reason
   */
  async untilReturned(request: WorkRequest, seconds: number, signal: AbortSignal): Promise<boolean> {
    if (this.#restarts.returned(request)) return true
    const nodes = this.#restarts.awaited(request)
    return nodes.length > 0 && seconds > 0 && (await this.fleet.returns.wait(nodes, seconds, signal))
  }

  /** Takes a place for a job that already runs at a node, as after a restart of the gateway. */
  restore(node: TrackedNode, workKind: string | undefined): Lease {
    return Lease.restore(this.fleet, node, workKind, this)
  }

  released(node: TrackedNode): void {
    this.emit('released', node)
  }
}
