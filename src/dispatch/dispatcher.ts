import { EventEmitter } from 'node:events'
import type { Fleet } from '../fleet/fleet.ts'
import type { TrackedNode } from '../fleet/node.ts'
import { Lease, type Released } from './lease.ts'
import { NoBackendAvailable } from './noBackend.ts'
import type { Hold, Obstacle, Placer } from './queue/placement.ts'
import { Queue } from './queue/queue.ts'
import type { QueueOptions } from './queue/queueOptions.ts'
import type { Requirement } from './requirement.ts'
import { Restarts } from './restarts.ts'
import { routingText } from './routingReason.ts'
import type { BestNode, Choice, PickOptions, Selector } from './selector.ts'
import type { RunningCharge } from './workMeter.ts'
import type { WorkRequest } from './workRequest.ts'

export interface DispatcherEvents {
  /** Work at this backend has ended, and its place is free. */
  released: [node: TrackedNode]
  /** Requests wait for a place at this node; emitted again and again while they do. */
  wanted: [node: TrackedNode]
}

export interface DispatcherOptions {
  /** Whether leases say why their backend was chosen: see `Lease.routing`. */
  readonly tellsReasons?: boolean
  /** Where requests wait for places; without it, or where its size is 0, they are sent to backends however many these have. */
  readonly queue?: QueueOptions | undefined
  /** For how long requests wait where no backend is available: see `Restarts`. Seconds; default: 8. */
  readonly outageWaitSeconds?: number
}

const DEFAULT_OUTAGE_WAIT_SECONDS = 8

/**
 * A busy backend is waited for where it costs less than this part of what the best of those with a place costs. With 0.6 the mean and the
 * 99th percentile are below those without a queue at 50 to 85 % of capacity, on like and on unlike services; with 0.8 the mean is 12 %
 * above at 85 %, since waiting for the fast ones leaves places unused (test/dispatch/queue/load.test.ts).
 */
const WORTH_WAITING = 0.6

const NO_HOLD: Hold = { waiting: 0, isOver: true }

/** Gives each request a place at a backend, at once or when it is its turn. */
export class Dispatcher extends EventEmitter<DispatcherEvents> implements Released, Placer {
  readonly fleet: Fleet
  /** Undefined where requests do not wait for places. */
  readonly queue: Queue | undefined
  /** Backends that are away, and for how long they are waited for. */
  readonly restarts: Restarts
  readonly #selector: Selector
  readonly #tellsReasons: boolean
  readonly #isOpen: ((node: TrackedNode) => boolean) | undefined

  constructor(
    fleet: Fleet,
    selector: Selector,
    { tellsReasons = false, queue, outageWaitSeconds = DEFAULT_OUTAGE_WAIT_SECONDS }: DispatcherOptions = {},
  ) {
    super()
    this.#tellsReasons = tellsReasons
    this.fleet = fleet
    this.restarts = new Restarts(fleet, outageWaitSeconds)
    this.#selector = selector
    this.queue = queue && queue.size > 0 ? new Queue(fleet, this, queue) : undefined
    this.queue?.on('wanted', (node) => this.emit('wanted', node))
    const { gates } = this.queue ?? {}
    this.#isOpen = gates && ((node) => gates.of(node).isOpen)
  }

  /**
   * Takes a place at the best backend for a request, or where there is none, at one that was away and is back. Undefined where it has
   * to wait for one: see `acquire`.
   *
   * @throws NoBackendAvailable where none could take it even if all had places
   */
  take(request: WorkRequest): Lease | undefined {
    if (this.queue && request.asked.requirement.isFollowUp !== true) return this.queue.take(request)
    return this.#place(request, undefined, NO_HOLD, undefined) as Lease
  }

  /**
   * The same, or waits for a place.
   *
   * @param signal aborts, with a fault as its reason, when the place is no longer wanted
   * @throws NoBackendAvailable
   * @throws GatewayFault ERR_QUEUE_FULL, ERR_QUEUE_TIMEOUT
   * @throws the signal's reason
   */
  async acquire(request: WorkRequest, signal: AbortSignal): Promise<Lease> {
    signal.throwIfAborted()
    const lease = this.take(request)
    if (lease || !this.queue) return lease as Lease
    return this.queue.wait(request, signal)
  }

  /** For the queue. */
  place(request: WorkRequest, hold: Hold, charge: (node: TrackedNode) => RunningCharge): Lease | Obstacle {
    return this.#place(request, this.#isOpen, hold, charge)
  }

  #place(
    request: WorkRequest,
    isOpen: ((node: TrackedNode) => boolean) | undefined,
    hold: Hold,
    charge: ((node: TrackedNode) => RunningCharge) | undefined,
  ): Lease | Obstacle {
    const { asked, cooldownKey, session, prompt, cost, tried } = request
    const { requirement, kind } = asked
    const options = { except: tried, cooldownKey, session, prompt, cost, kind, isOpen }
    const choice = this.#selector.pick(requirement, options)
    const { full } = choice
    const better = full.length > 0 && !hold.isOver ? this.#worthWaitingFor(request, choice, options, hold) : undefined
    if (better)
      return { why: 'held', isForAll: false, seconds: 0, home: better.warmCharacters > 0 ? better.node : undefined }
    const mayHaveReturned = full.length === 0 || request.unreached !== undefined
    const node = choice.node ?? (mayHaveReturned ? this.restarts.returned(request) : undefined)
    if (!node || (!choice.node && isOpen?.(node) === false)) {
      if (node || full.length > 0) {
        const isForAll = !choice.isHindered
        return { why: 'full', isForAll, seconds: 0, home: this.#homeAmong(full, request, options) }
      }
      if (isOpen && choice.cooldownSeconds > 0)
        return { why: 'resting', isForAll: false, seconds: choice.cooldownSeconds, home: undefined }
      throw new NoBackendAvailable(choice.cooldownSeconds)
    }
    // Before anything is taken: scores are those by which it was chosen.
    const routing = this.#tellsReasons ? this.#routingOf(requirement, options, choice) : undefined
    const cacheUse = prompt && this.#selector.caches?.begin(node, prompt, choice.warm)
    return Lease.take(this.fleet, node, asked, { told: this, cacheUse, routing, charge: charge?.(node) })
  }

  /** A busy backend that is better by so much that it is worth waiting for. */
  #worthWaitingFor(
    { asked: { requirement }, prompt }: WorkRequest,
    { node, full }: Choice,
    options: PickOptions,
    { waiting }: Hold,
  ): BestNode | undefined {
    const gates = this.queue?.gates
    if (!node || !gates) return undefined
    const open = this.#selector.best([node], requirement, options)
    const busy = this.#selector.best(full, requirement, options)
    if (!open || !busy) return undefined
    const now = this.fleet.now()
    const paceOf = (backend: TrackedNode): number => gates.of(backend).places / backend.load.serviceSeconds(now)
    const its = paceOf(busy.node)
    // Of those that wait its part goes there before; a score by load has the wait for the first place in it already.
    const ahead = (waiting * its) / full.reduce((all, backend) => all + paceOf(backend), 0) + (prompt ? 1 : 0)
    return busy.score + ahead / its < WORTH_WAITING * open.score ? busy : undefined
  }

  /** The busy backend that has the beginning of the prompt in its cache. */
  #homeAmong(
    full: readonly TrackedNode[],
    { asked: { requirement }, prompt }: WorkRequest,
    options: PickOptions,
  ): TrackedNode | undefined {
    if (!prompt || full.length < 2) return undefined
    const best = this.#selector.best(full, requirement, options)
    return best && best.warmCharacters > 0 ? best.node : undefined
  }

  #routingOf(requirement: Requirement, options: PickOptions, choice: Choice): string {
    if (choice.node) return routingText(choice.reason, this.#selector.scores(requirement, options, 2))
    // One that was away and is back: there was no other.
    return routingText(choice.reason === 'retried' ? 'retried' : 'onlyOne', [])
  }

  /** Takes a place for a job that already runs at a node, as after a restart of the gateway. */
  restore(node: TrackedNode, workKind: string | undefined): Lease {
    return Lease.restore(this.fleet, node, workKind, this)
  }

  released(node: TrackedNode): void {
    this.emit('released', node)
    this.queue?.freed(node)
  }

  pushedBack(node: TrackedNode, status: number, caller: string): void {
    this.queue?.pushedBack(node, status, caller)
  }
}
