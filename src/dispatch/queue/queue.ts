import { EventEmitter } from 'node:events'
import { limitKeyOf } from '../../base/limitKey.ts'
import { GatewayFault } from '../../faults.ts'
import type { Fleet } from '../../fleet/fleet.ts'
import type { TrackedNode } from '../../fleet/node.ts'
import { Lease } from '../lease.ts'
import { NoBackendAvailable } from '../noBackend.ts'
import type { WorkRequest } from '../workRequest.ts'
import { Charge } from './charge.ts'
import { Gates } from './gate.ts'
import type { Lane } from './lane.ts'
import type { Obstacle, Placer } from './placement.ts'
import type { Pool } from './pool.ts'
import { Pools } from './pools.ts'
import type { PriorityClass } from './priorityClass.ts'
import { Room } from './room.ts'
import type { QueueEvents, QueueSnapshot, WaitEnd } from './snapshot.ts'
import { snapshotOf } from './snapshots.ts'
import { Ticket, type TicketEnds } from './ticket.ts'

/** While requests wait, what no event tells is looked for this often, ms. */
const TICK_MS = 100
/** For how long an engine is asked for its load each second, once a request waited for it. Seconds. */
const WATCH_SECONDS = 2
/** Lanes whose requests cannot be served now that are passed over at a time. */
const MOST_PASSED_OVER = 16

export interface QueueOptions {
  /** Requests that may wait. */
  readonly size: number
  /** How long they wait, seconds. */
  readonly timeoutSeconds: number
  /** A caller's share among those that wait for the same; default: 1. Read anew each time. */
  readonly weightOf?: ((caller: string) => number) | undefined
}

/**
 * Where requests wait until a backend that can take them has a place. Whose turn it is follows the work that callers have had over
 * their weights, within the shares of priorities; where a request goes, the dispatcher says. See README.md.
 */
export class Queue extends EventEmitter<QueueEvents> implements TicketEnds {
  readonly gates = new Gates()
  readonly #options: QueueOptions
  readonly #fleet: Fleet
  readonly #placer: Placer
  readonly #pools: Pools
  readonly #room: Room
  #orders = 0
  #timer: NodeJS.Timeout | undefined
  #watchedAt = -Infinity

  constructor(fleet: Fleet, placer: Placer, options: QueueOptions) {
    super()
    this.#fleet = fleet
    this.#placer = placer
    this.#options = options
    this.#room = new Room(options.size)
    this.#pools = new Pools(fleet, this.gates, options.weightOf ?? one)
    fleet.on('service:load', (node, load) => {
      this.gates.of(node).sawLoad(load, this.#pools.isWanted(node))
      this.freed(node)
    })
    fleet.on('node:up', (node) => this.freed(node))
  }

  /** Requests that wait, those included that wait elsewhere for a backend that is away. */
  get waiting(): number {
    return this.#room.taken
  }

  /** Whether a request may go to the backend now, as far as its places go. */
  isOpen(node: TrackedNode): boolean {
    return this.gates.of(node).isOpen
  }

  /**
   * A place at once, unless requests wait that have the better right to it. Undefined: it has to wait.
   *
   * @throws NoBackendAvailable where none could take it even if all had places
   */
  take(request: WorkRequest): Lease | undefined {
    const pool = this.#pools.find(request.asked.requirement)
    if (pool && pool.waiting > pool.resting) return undefined
    const placed = this.#place(request, pool)
    return placed instanceof Lease ? placed : undefined
  }

  /**
   * Waits for a place.
   *
   * @throws GatewayFault ERR_QUEUE_FULL, ERR_QUEUE_TIMEOUT
   * @throws NoBackendAvailable where none could take it even if all had places, or none is left that could
   * @throws the signal's reason
   */
  async wait(request: WorkRequest, signal: AbortSignal): Promise<Lease> {
    const now = this.#fleet.now()
    const pool = this.#pools.of(request.asked)
    // It finds out whether anything could take it at all, and what a full queue need not hold up.
    const placed = this.#place(request, pool)
    if (placed instanceof Lease) return placed
    const account = pool.accountOf(limitKeyOf(request.asked.caller))
    if (!request.turn && !this.#room.hasFor(account.caller)) throw this.#refusal(pool, request)
    request.turn ??= { order: ++this.#orders, deadline: now + this.#options.timeoutSeconds }
    if (placed.why === 'resting' && now + placed.seconds > request.turn.deadline) throw rests(placed.seconds)
    const of = classOf(pool, request)
    if (pool.waiting === 0) this.#pools.joins(pool)
    pool.came(account, of)
    const ticket = new Ticket({ account, priority: of.priority }, request, request.turn, { now, signal, ends: this })
    ticket.home = placed.home
    if (placed.why === 'held') ticket.heldSince = now
    const lane = pool.add(ticket, now)
    this.#room.take(account.caller)
    if (placed.why === 'resting' && lane.size === 1) of.rest(lane, now + placed.seconds)
    this.#timer ??= setInterval(tick, TICK_MS, this).unref()
    this.#watch(pool, now)
    return ticket.promise
  }

  /**
   * A request waits elsewhere, for a backend that is away: it counts among those that wait here.
   *
   * @returns gives its place back; to be called exactly once
   * @throws GatewayFault ERR_QUEUE_FULL
   */
  waitElsewhere(request: WorkRequest): () => void {
    const caller = limitKeyOf(request.asked.caller)
    if (!this.#room.hasFor(caller)) throw this.#refusal(this.#pools.of(request.asked), request)
    this.#room.take(caller)
    return () => this.#room.giveBack(caller)
  }

  /** The backend may have a place. */
  freed(node: TrackedNode): void {
    if (this.#timer === undefined) return
    const pools = this.#pools.waiting().filter((pool) => pool.fits(node))
    if (pools.length > 0) this.#fill(pools, node)
  }

  /** The backend answered that it wants no more for now. */
  pushedBack(node: TrackedNode): void {
    this.gates.of(node).pushedBack(node.load.inFlight - 1, this.#fleet.now())
  }

  /** The queue as people see it. */
  snapshot(): QueueSnapshot {
    return snapshotOf(this.#pools, this.gates, this.#room, this.#fleet.now())
  }

  left(ticket: Ticket): void {
    if (!this.#remove(ticket, 'left')) return
    ticket.seat.account.concluded(true)
    ticket.failed()
  }

  timedOut(ticket: Ticket): void {
    if (!this.#remove(ticket, 'timedOut')) return
    const { account } = ticket.seat
    account.concluded(true)
    const seconds = this.#pools.of(ticket.request.asked).bookReturn(account, this.#fleet.now())
    ticket.failed(new GatewayFault('ERR_QUEUE_TIMEOUT', undefined, { headers: { 'Retry-After': String(seconds) } }))
  }

  /** Looks for what no event tells: rests that are over, holds that are, lists that have changed. */
  tick(): void {
    const now = this.#fleet.now()
    const pools = this.#pools.waiting()
    if (pools.length === 0) {
      clearInterval(this.#timer)
      this.#timer = undefined
      return
    }
    const isWatchDue = now - this.#watchedAt >= 1
    if (isWatchDue) this.#watchedAt = now
    for (const pool of pools) {
      this.#pools.measure(pool)
      for (const of of pool.inTurn()) of.wake(now, pool.quantum)
      if (isWatchDue) this.#watch(pool, now)
    }
    this.#fill(pools)
  }

  #place(request: WorkRequest, known: Pool | undefined, ticket?: Ticket): Lease | Obstacle {
    const now = this.#fleet.now()
    const hold = {
      waiting: known?.waiting ?? 0,
      isOver: ticket?.heldSince !== undefined && now - ticket.heldSince > (known?.meanSeconds ?? 0),
    }
    return this.#placer.place(request, hold, (node) => {
      const pool = known ?? this.#pools.of(request.asked)
      const account = ticket?.seat.account ?? pool.accountOf(limitKeyOf(request.asked.caller))
      const of = classOf(pool, request)
      if (!ticket) pool.came(account, of)
      const charge = new Charge(pool, account, of)
      this.#pools.served(pool, node, now)
      return charge
    })
  }

  /** Serves what can be served, each time the pool with the least work. With a node: until that has no place left. */
  #fill(pools: readonly Pool[], node?: TrackedNode): void {
    const left = new Set(pools)
    while (left.size > 0 && (node === undefined || this.isOpen(node))) {
      let next: Pool | undefined
      for (const pool of left) if (!next || pool.virtualWork < next.virtualWork) next = pool
      if (!next || this.#serve(next, node)) continue
      left.delete(next)
    }
  }

  /** Serves one request of a pool. Returns whether there was one that could be served, or that ended for want of backends. */
  #serve(pool: Pool, node: TrackedNode | undefined): boolean {
    for (const of of pool.inTurn()) {
      const passedOver: Lane[] = []
      try {
        const how = this.#serveClass(pool, of, node, passedOver)
        if (how !== 'none') return how === 'served'
      } finally {
        const { quantum } = pool
        for (const lane of passedOver) of.putBack(lane, quantum)
      }
    }
    return false
  }

  /** @param passedOver gets the lanes that are out of their heaps, whose requests can be served later */
  #serveClass(
    pool: Pool,
    of: PriorityClass,
    node: TrackedNode | undefined,
    passedOver: Lane[],
  ): 'served' | 'none' | 'full' {
    const now = this.#fleet.now()
    const { meanSeconds } = pool
    while (passedOver.length < MOST_PASSED_OVER) {
      const lane = of.first(now, meanSeconds)
      if (!lane) return 'none'
      const isHasty = lane.isHasty(now, meanSeconds)
      const front = lane.next(0, isHasty) as Ticket
      const home = node && of.atHome(front, { node, quanta: lane.quanta, now, meanSeconds })
      if (home && this.#tries(home, pool) === true) return 'served'
      const obstacle = this.#tries(front, pool)
      if (obstacle === true) return 'served'
      // No backend has a place: for the others neither.
      if (obstacle.why === 'full' && isUnhindered(front.request)) return 'full'
      const second = lane.next(1, isHasty)
      const next = second && this.#tries(second, pool)
      if (next === true) return 'served'
      if (obstacle.why === 'resting' && next?.why !== 'full' && next?.why !== 'held') {
        of.rest(lane, now + Math.min(obstacle.seconds, next?.seconds ?? Infinity))
      } else {
        of.takeOut(lane)
        passedOver.push(lane)
      }
    }
    return 'none'
  }

  /** True where the request is served or has ended otherwise. */
  #tries(ticket: Ticket, pool: Pool): true | Obstacle {
    const { request } = ticket
    try {
      const placed = this.#place(request, pool, ticket)
      if (placed instanceof Lease) {
        this.#remove(ticket, 'placed')
        ticket.served(placed)
        return true
      }
      ticket.home = placed.home
      if (placed.why === 'held') ticket.heldSince ??= this.#fleet.now()
      if (placed.why !== 'resting' || this.#fleet.now() + placed.seconds <= ticket.turn.deadline) return placed
      throw rests(placed.seconds)
    } catch (error) {
      this.#remove(ticket, 'noBackend')
      ticket.failed(error as Error)
      return true
    }
  }

  /** Returns whether it was there. */
  #remove(ticket: Ticket, end: WaitEnd): boolean {
    const now = this.#fleet.now()
    const pool = this.#pools.of(ticket.request.asked)
    if (!pool.remove(ticket, now)) return false
    this.#room.giveBack(ticket.seat.account.caller)
    this.#tell(pool, ticket.request, now - ticket.since, end)
    return true
  }

  #refusal(pool: Pool, request: WorkRequest): GatewayFault {
    const account = pool.accountOf(limitKeyOf(request.asked.caller))
    const seconds = pool.bookReturn(account, this.#fleet.now())
    this.#tell(pool, request, 0, 'refused')
    const message =
      this.#room.taken >= this.#room.limit
        ? `${this.#room.limit} requests wait already, as many as may`
        : 'You have as many requests waiting as there are places left in the queue for others'
    return new GatewayFault('ERR_QUEUE_FULL', message, {
      params: { limit: this.#room.limit },
      headers: { 'Retry-After': String(seconds) },
    })
  }

  #tell(pool: Pool, request: WorkRequest, seconds: number, end: WaitEnd): void {
    const { caller } = request.asked
    this.emit('waited', { pool: pool.name, caller, priority: classOf(pool, request).priority, seconds, end })
  }

  /** Has the engines asked for their load: what waits hangs on that. Gates that were learnt from pushbacks try a little more. */
  #watch(pool: Pool, now: number): void {
    for (const node of this.#pools.backends(pool)) {
      if (!node.isInfernet) this.#fleet.engines.watchClosely(node, now + WATCH_SECONDS)
      this.gates.of(node).wanted(now)
    }
  }
}

function classOf(pool: Pool, { priority = 'normal' }: WorkRequest): PriorityClass {
  return pool.classes[priority]
}

/** Whether it may go wherever others of its pool may. */
function isUnhindered({ tried }: WorkRequest): boolean {
  return tried === undefined || tried.size === 0
}

function rests(seconds: number): NoBackendAvailable {
  return new NoBackendAvailable(seconds)
}

function tick(queue: Queue): void {
  queue.tick()
}

function one(): number {
  return 1
}
