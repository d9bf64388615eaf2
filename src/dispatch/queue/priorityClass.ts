import type { Priority } from '../../base/priority.ts'
import type { TrackedNode } from '../../fleet/node.ts'
import type { Account } from './account.ts'
import { Lane } from './lane.ts'
import { LaneHeap } from './laneHeap.ts'
import type { Ticket } from './ticket.ts'

/** Lanes near the front, among which one whose backend has its prompt in its cache may go first. */
const MOST_LOOKED_AT = 16
/** A request that has waited for this many mean services is not passed over. */
const MOST_PASSED_OVER_SERVICES = 2

/** A backend that was not there before may take what rests: it is looked at again after this long. Seconds. */
const MOST_REST_SECONDS = 1
/** Of this many requests that are served one is of a caller that lost many, if any wait: else it would never lose fewer. */
const STALE_TURN = 10

/** Parts of the work while requests of all priorities wait: shares with a floor, never strict precedence. */
const PRIORITY_SHARES: Readonly<Record<Priority, number>> = { high: 60, normal: 30, low: 10 }

/** The waiting requests of one pool with one priority. */
export class PriorityClass {
  readonly priority: Priority
  readonly share: number
  /** Work over share that it has had, besides what it lost for not waiting meanwhile. */
  virtualWork = 0
  waiting = 0
  /** `virtualWork` of the caller that was served last. */
  #servedAt = 0
  readonly #fresh = new LaneHeap()
  /** Of callers that lose requests, and whose newest has waited long too: after everybody else. */
  readonly #stale = new LaneHeap()
  /** Requests that were served since one of those. */
  #sinceStale = 0
  readonly #resting = new Set<Lane>()
  /** Lanes with waiting requests. */
  readonly #lanes = new Map<Account, Lane>()

  constructor(priority: Priority) {
    this.priority = priority
    this.share = PRIORITY_SHARES[priority]
  }

  /** What a caller that comes begins with at least: it has no claim on what others had while it was away. */
  get leastVirtualWork(): number {
    return this.#fresh.first?.account.virtualWork ?? this.#servedAt
  }

  /** Returns its lane. */
  add(ticket: Ticket, quantum: number): Lane {
    const { account } = ticket.seat
    let lane = this.#lanes.get(account)
    if (!lane) this.#lanes.set(account, (lane = new Lane(account, this.priority)))
    lane.add(ticket)
    this.waiting++
    this.#stale.remove(lane)
    this.#reorder(lane, quantum)
    return lane
  }

  /** Returns whether it was there. */
  remove(ticket: Ticket, quantum: number): boolean {
    const lane = this.#lanes.get(ticket.seat.account)
    if (lane?.remove(ticket) !== true) return false
    this.waiting--
    if (lane.size > 0) this.#reorder(lane, quantum)
    else {
      this.takeOut(lane)
      this.#resting.delete(lane)
      this.#lanes.delete(lane.account)
    }
    return true
  }

  /** The caller has had more work, or less than was thought. */
  reorder(account: Account, quantum: number): void {
    const lane = this.#lanes.get(account)
    if (lane) this.#reorder(lane, quantum)
  }

  /** All of them, since the steps in which work is compared have changed. */
  reorderAll(quantum: number): void {
    for (const lane of this.#lanes.values()) this.takeOut(lane)
    for (const lane of this.#lanes.values()) this.#reorder(lane, quantum)
  }

  #reorder(lane: Lane, quantum: number): void {
    if (this.#resting.has(lane)) return
    lane.quanta = Math.floor(lane.account.virtualWork / quantum)
    if (this.#stale.has(lane)) this.#stale.put(lane)
    else this.#fresh.put(lane)
  }

  /** A request of this caller is served: those that come later begin where it was. */
  serves(account: Account): void {
    this.#servedAt = Math.max(this.#servedAt, account.virtualWork)
    const lane = this.#lanes.get(account)
    this.#sinceStale = lane && this.#stale.has(lane) ? 0 : this.#sinceStale + 1
  }

  /** The lane whose turn it is. */
  first(now: number, meanSeconds: number): Lane | undefined {
    if (this.#sinceStale >= STALE_TURN && this.#stale.first) return this.#stale.first
    for (;;) {
      const lane = this.#fresh.first
      if (!lane) return this.#stale.first
      if (!lane.isStale(now, meanSeconds)) return lane
      this.#fresh.remove(lane)
      this.#stale.put(lane)
    }
  }

  /** The oldest request near the front that has its prompt in this backend's cache, unless the one at the front has waited long. */
  atHome(front: Ticket, { node, quanta, now, meanSeconds }: HomeSearch): Ticket | undefined {
    if (front.home === node || now - front.since > MOST_PASSED_OVER_SERVICES * meanSeconds) return undefined
    let oldest: Ticket | undefined
    for (let index = 0; index < MOST_LOOKED_AT; index++) {
      const lane = this.#fresh.at(index)
      if (!lane) break
      if (lane.quanta > quanta || lane.isHasty(now, meanSeconds)) continue
      for (const place of [0, 1] as const) {
        const ticket = lane.next(place, false)
        if (ticket?.home === node && (!oldest || ticket.turn.order < oldest.turn.order)) oldest = ticket
      }
    }
    return oldest
  }

  /** Takes a lane out for now; `putBack` follows, unless its last request goes. */
  takeOut(lane: Lane): void {
    this.#fresh.remove(lane)
    this.#stale.remove(lane)
  }

  putBack(lane: Lane, quantum: number): void {
    if (this.#lanes.get(lane.account) === lane) this.#reorder(lane, quantum)
  }

  /** All backends that could take its requests rest until then, after answers to its caller alone. */
  rest(lane: Lane, until: number, now: number): void {
    this.takeOut(lane)
    lane.restsUntil = Math.min(until, now + MOST_REST_SECONDS)
    this.#resting.add(lane)
  }

  /** Requests that wait only because all backends rest for their callers. */
  get resting(): number {
    let tickets = 0
    for (const lane of this.#resting) tickets += lane.size
    return tickets
  }

  /** Those whose rest is over come back. */
  wake(now: number, quantum: number): void {
    for (const lane of this.#resting) {
      if (now < lane.restsUntil) continue
      this.#resting.delete(lane)
      this.#reorder(lane, quantum)
    }
  }

  /** In no particular order. */
  get lanes(): Iterable<Lane> {
    return this.#lanes.values()
  }
}

interface HomeSearch {
  readonly node: TrackedNode
  /** Of the lane at the front. */
  readonly quanta: number
  /** Monotonic seconds. */
  readonly now: number
  /** Of a request of the pool. */
  readonly meanSeconds: number
}
