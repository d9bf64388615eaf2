import { EventEmitter } from 'node:events'
import { limitKeyOf } from '../../base/limitKey.ts'
import type { GatewayFault } from '../../faults.ts'
import type { Fleet } from '../../fleet/fleet.ts'
import type { TrackedNode } from '../../fleet/node.ts'
import { Lease } from '../lease.ts'
import { NoBackendAvailable } from '../noBackend.ts'
import type { WorkRequest } from '../workRequest.ts'
import { Charge } from './charge.ts'
import { queueClosed, queueFull, queueTimeout } from './ends.ts'
import { Gates } from './gate.ts'
import { hasTried, type Lane } from './lane.ts'
import type { Obstacle, Placer } from './placement.ts'
import type { Pool } from './pool.ts'
import { Pools } from './pools.ts'
import type { PriorityClass } from './priorityClass.ts'
import type { QueueOptions } from './queueOptions.ts'
import { Room } from './room.ts'
import type { QueueEvents, QueueSnapshot, WaitEnd } from './snapshot.ts'
import { snapshotOf } from './snapshots.ts'
import { Ticket, type TicketEnds } from './ticket.ts'

/** While requests wait, changes without an event are looked for this often, ms. */
const TICK_MS = 100
/** Lanes whose requests cannot be served now that are passed over at a time. */
const MOST_PASSED_OVER = 64

/**
 * Where requests wait until a backend that can take them has a place. Whose turn it is follows the work that callers have had over
 * their weights, within the shares of priorities; where a request goes, the dispatcher says. See README.md.
 */
export class Queue extends EventEmitter<QueueEvents> implements TicketEnds {
  readonly gates: Gates
  readonly #options: QueueOptions
  readonly #fleet: Fleet
  readonly #placer: Placer
  readonly #pools: Pools
  readonly #room: Room
  #orders = 0
  #timer: NodeJS.Timeout | undefined
  #watchedAt = -Infinity
  #isClosed = false

  constructor(fleet: Fleet, placer: Placer, options: QueueOptions) {
    super()
    this.#fleet = fleet
    this.gates = new Gates(fleet)
    this.#placer = placer
    this.#options = options
    this.#room = new Room(options.size)
    this.#pools = new Pools(fleet, this.gates, options.weightOf)
    fleet.on('service:load', (node, load) => {
      this.gates.of(node).sawLoad(load, this.#pools.isWanted(node))
      this.freed(node)
    })
    fleet.on('node:up', (node) => {
      for (const pool of this.#pools.waiting()) if (pool.fits(node)) pool.wake(Infinity)
      this.freed(node)
    })
  }

  /** Requests that wait, those included that wait elsewhere for a backend that is away. */
  get waiting(): number {
    return this.#room.taken
  }

  /**
   * A place at once, unless requests wait that have the better right to it. Undefined: it has to wait.
   *
   * @throws NoBackendAvailable where none could take it even if all had places
   */
  take(request: WorkRequest): Lease | undefined {
    const pool = this.#pools.find(request.asked.requirement)
    if (pool && pool.waiting > 0 && pool.waiting > pool.resting) return undefined
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
    if (this.#isClosed) throw queueClosed()
    const now = this.#fleet.now()
    // Finds out whether any backend could take it. One that is idle does, also where there is no room to wait.
    const placed = this.#place(request, this.#pools.find(request.asked.requirement))
    if (placed instanceof Lease) return placed
    const { secondsLeft = this.#options.timeoutSeconds } = request.turn ?? {}
    if (placed.why === 'resting' && placed.seconds > secondsLeft) throw new NoBackendAvailable(placed.seconds)
    const pool = this.#pools.of(request.asked)
    const account = pool.accountOf(limitKeyOf(request.asked.caller))
    if (!request.turn && !this.#room.hasFor(account.caller)) {
      const lease = placed.why === 'held' && this.#placeAnywhere(request, pool)
      if (lease) return lease
      throw this.#refusal(pool, request)
    }
    pool.metRoom(account, false)
    request.turn ??= { order: ++this.#orders, secondsLeft }
    const priorityClass = classOf(pool, request)
    if (pool.waiting === 0) this.#pools.joins(pool)
    pool.came(account, priorityClass)
    const seat = { account, priority: priorityClass.priority }
    const ticket = new Ticket(seat, request, request.turn, { now, signal, ends: this })
    ticket.home = placed.home
    if (placed.why === 'held') ticket.heldSince = now
    const lane = pool.add(ticket, now)
    this.#room.take(account.caller)
    if (placed.why === 'resting' && lane.size === 1 && account.caller === request.asked.caller)
      priorityClass.rest(lane, now + placed.seconds, now)
    this.#timer ??= setInterval(tick, TICK_MS, this).unref()
    this.#pools.watchClosely(pool, now)
    return ticket.promise
  }

  /**
   * A request waits elsewhere, for a backend that is away: it counts among those that wait here.
   *
   * @returns gives its place back; to be called exactly once
   * @throws GatewayFault ERR_QUEUE_FULL
   */
  waitElsewhere(request: WorkRequest): () => void {
    if (this.#isClosed) throw queueClosed()
    const caller = limitKeyOf(request.asked.caller)
    // One that has waited before, or was tried, has a better answer than that there is no room.
    const isNew = !request.turn && !(request.tried && request.tried.size > 0)
    if (isNew && !this.#room.hasFor(caller)) throw this.#refusal(this.#pools.of(request.asked), request)
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
  pushedBack(node: TrackedNode, status: number, caller: string): void {
    this.gates.of(node).pushedBack({ status, caller, others: node.load.inFlight - 1, now: this.#fleet.now() })
  }

  /** Ends all waits, since the gateway does. */
  close(): void {
    this.#isClosed = true
    for (const pool of this.#pools.waiting()) {
      for (const ticket of pool.tickets()) {
        this.#fails(ticket, queueClosed())
      }
    }
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
    const pool = this.#pools.of(ticket.request.asked)
    const lease = ticket.heldSince === undefined ? undefined : this.#placeAnywhere(ticket.request, pool, ticket)
    if (lease) {
      this.#remove(ticket, 'placed')
      return ticket.served(lease)
    }
    if (!this.#remove(ticket, 'timedOut')) return
    ticket.seat.account.concluded(true)
    const seconds = pool.bookReturn(ticket.seat.account, this.#fleet.now(), false)
    ticket.failed(queueTimeout(seconds))
  }

  /** Looks for changes that have no event: rests and holds that are over, lists that have changed. */
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
      pool.wake(now)
      if (!isWatchDue) continue
      this.#pools.measure(pool)
      pool.adjustQuantum()
      this.#pools.watchClosely(pool, now)
      for (const node of this.#pools.backends(pool)) this.gates.of(node).wanted(now)
    }
    this.#fill(pools)
    for (const node of this.#pools.fullNodes()) this.emit('wanted', node)
  }

  #place(request: WorkRequest, known: Pool | undefined, ticket?: Ticket, mayHold?: false): Lease | Obstacle {
    const now = this.#fleet.now()
    const waiting = (known?.waiting ?? 0) - (ticket ? 1 : 0)
    const isOver = ticket?.heldSince !== undefined && now - ticket.heldSince > (known?.meanSeconds ?? 0)
    return this.#placer.place(request, { waiting, isOver: isOver || mayHold === false }, (node) => {
      const pool = known ?? this.#pools.of(request.asked)
      const account = ticket?.seat.account ?? pool.accountOf(limitKeyOf(request.asked.caller))
      const priorityClass = classOf(pool, request)
      if (!ticket) pool.came(account, priorityClass)
      const charge = new Charge(pool, account, priorityClass)
      this.#pools.served(pool, node, now)
      return charge
    })
  }

  /** A place at a backend that has one, although another would have been worth waiting for. */
  #placeAnywhere(request: WorkRequest, pool: Pool, ticket?: Ticket): Lease | undefined {
    try {
      const placed = this.#place(request, pool, ticket, false)
      return placed instanceof Lease ? placed : undefined
    } catch {
      return undefined
    }
  }

  /** Serves what can be served, each time the pool with the least work. With a node: until that has no place left. */
  #fill(pools: readonly Pool[], node?: TrackedNode): void {
    const left = new Set(pools)
    while (left.size > 0 && (node === undefined || this.gates.of(node).isOpen)) {
      let next: Pool | undefined
      for (const pool of left) if (!next || pool.virtualWork < next.virtualWork) next = pool
      if (!next || this.#serve(next, node)) continue
      left.delete(next)
    }
  }

  /** Serves one request of a pool. Returns whether there was one that could be served, or that ended for want of backends. */
  #serve(pool: Pool, node: TrackedNode | undefined): boolean {
    for (const priorityClass of pool.inTurn()) {
      const passedOver: Lane[] = []
      try {
        const how = this.#serveClass(pool, priorityClass, node, passedOver)
        if (how !== 'none') return how === 'served'
      } finally {
        const { quantum } = pool
        for (const lane of passedOver) priorityClass.putBack(lane, quantum)
      }
    }
    return false
  }

  /** @param passedOver gets the lanes that are out of their heaps, whose requests can be served later */
  #serveClass(
    pool: Pool,
    priorityClass: PriorityClass,
    node: TrackedNode | undefined,
    passedOver: Lane[],
  ): 'served' | 'none' | 'full' {
    const now = this.#fleet.now()
    const { meanSeconds } = pool
    while (passedOver.length < MOST_PASSED_OVER) {
      const lane = priorityClass.first(now, meanSeconds)
      if (!lane) return 'none'
      const isHasty = lane.isHasty(now, meanSeconds)
      const front = lane.next(0, isHasty) as Ticket
      const home = node && priorityClass.atHome(front, { node, quanta: lane.quanta, now, meanSeconds })
      if (home && this.#tries(home, pool) === true) return 'served'
      const obstacle = this.#tries(front, pool)
      if (obstacle === true) return 'served'
      // No backend has a place: for the others neither.
      if (obstacle.isForAll) return 'full'
      // Those of the same caller that came back from a backend do not hold up the others.
      const other = hasTried(front) ? lane.firstUntried(isHasty) : lane.next(1, isHasty)
      const next = other && this.#tries(other, pool)
      if (next === true) return 'served'
      // Of an IPv6 network each address rests by itself.
      const isOneCaller = front.request.asked.caller === lane.account.caller
      if (isOneCaller && obstacle.why === 'resting' && next?.why !== 'full' && next?.why !== 'held') {
        priorityClass.rest(lane, now + Math.min(obstacle.seconds, next?.seconds ?? Infinity), now)
      } else {
        priorityClass.takeOut(lane)
        passedOver.push(lane)
      }
    }
    return 'none'
  }

  /** True where the request is served or has ended otherwise. */
  #tries(ticket: Ticket, pool: Pool): true | Obstacle {
    const { request } = ticket
    let placed: Lease | Obstacle
    try {
      placed = this.#place(request, pool, ticket)
    } catch (error) {
      return this.#fails(ticket, error as Error)
    }
    if (placed instanceof Lease) {
      this.#remove(ticket, 'placed')
      ticket.served(placed)
      return true
    }
    ticket.home = placed.home
    const now = this.#fleet.now()
    if (placed.why === 'held') ticket.heldSince ??= now
    const isTooLate = placed.why === 'resting' && now + placed.seconds > ticket.deadline
    return isTooLate ? this.#fails(ticket, new NoBackendAvailable(placed.seconds)) : placed
  }

  #fails(ticket: Ticket, reason: Error): true {
    this.#remove(ticket, 'noBackend')
    ticket.failed(reason)
    return true
  }

  /** Returns whether it was there. */
  #remove(ticket: Ticket, end: WaitEnd): boolean {
    const now = this.#fleet.now()
    const pool = this.#pools.of(ticket.request.asked)
    if (!pool.remove(ticket, now)) return false
    ticket.turn.secondsLeft = Math.max(0, ticket.deadline - now)
    this.#room.giveBack(ticket.seat.account.caller)
    this.#tell(pool, ticket.request, now - ticket.since, end)
    return true
  }

  #refusal(pool: Pool, request: WorkRequest): GatewayFault {
    const account = pool.accountOf(limitKeyOf(request.asked.caller))
    pool.metRoom(account, true)
    const seconds = pool.bookReturn(account, this.#fleet.now(), this.#room.isFull)
    this.#tell(pool, request, 0, 'refused')
    this.#pools.used(pool)
    return queueFull(this.#room, seconds)
  }

  #tell(pool: Pool, request: WorkRequest, seconds: number, end: WaitEnd): void {
    const { asked, priority = 'normal' } = request
    this.emit('waited', { pool: pool.name, caller: asked.caller, priority, seconds, end })
  }
}

function classOf(pool: Pool, { priority = 'normal' }: WorkRequest): PriorityClass {
  return pool.classes[priority]
}

function tick(queue: Queue): void {
  queue.tick()
}
