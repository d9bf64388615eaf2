import type { Priority } from '../../base/priority.ts'
import type { Account } from './account.ts'
import type { Seat, Ticket } from './ticket.ts'

/** Part of its requests that a caller loses, from which on the newest go first. */
const LOSSY = 0.1

/** Requests of one caller that came back from backends, past which no other is looked for. */
const MOST_TRIED = 100

/** The waiting requests of one caller with one priority, in the order in which they came. */
export class Lane implements Seat {
  readonly account: Account
  readonly priority: Priority
  /** Where it is in a heap; -1: nowhere. */
  heapIndex = -1
  /** Whole quanta of work that its caller has had, as of when it was put into its heap. */
  quanta = 0
  /** All its requests cool down until then, monotonic seconds. */
  restsUntil = -Infinity
  readonly #tickets: Ticket[] = []
  /** The tickets before it are gone. */
  #first = 0

  constructor(account: Account, priority: Priority) {
    this.account = account
    this.priority = priority
  }

  get size(): number {
    return this.#tickets.length - this.#first
  }

  get oldest(): Ticket | undefined {
    return this.#tickets[this.#first]
  }

  get newest(): Ticket | undefined {
    return this.size > 0 ? this.#tickets.at(-1) : undefined
  }

  add(ticket: Ticket): void {
    const tickets = this.#tickets
    const { order } = ticket.turn
    const last = tickets.at(-1)
    if (!last || this.size === 0 || last.turn.order < order) tickets.push(ticket)
    else tickets.splice(this.#indexOf(order), 0, ticket)
  }

  /** Returns whether it was there. */
  remove(ticket: Ticket): boolean {
    const index = this.#indexOf(ticket.turn.order)
    if (this.#tickets[index] !== ticket) return false
    if (index > this.#first) this.#tickets.splice(index, 1)
    else this.#shift()
    return true
  }

  /** Whether its newest go first, since its oldest, after this long, are likely to be lost anyway. Seconds. */
  isHasty(now: number, meanSeconds: number): boolean {
    return this.account.lossRatio > LOSSY && now - (this.oldest?.since ?? now) > meanSeconds
  }

  /** Whether even its newest has waited too long, and is likely to be lost: others go first. */
  isStale(now: number, meanSeconds: number): boolean {
    return this.isHasty(now, meanSeconds) && now - this.newest!.since > meanSeconds
  }

  all(): Ticket[] {
    return this.#tickets.slice(this.#first)
  }

  /** The one at this place in the order of their turns; undefined where there is none. */
  next(place: number, isHasty: boolean): Ticket | undefined {
    if (place >= this.size) return undefined
    return isHasty ? this.#tickets.at(-1 - place) : this.#tickets[this.#first + place]
  }

  /** The first that was at no backend yet, so that it may go wherever one is free; undefined where that is the first of all. */
  firstUntried(isHasty: boolean): Ticket | undefined {
    for (let place = 0; place < Math.min(this.size, MOST_TRIED); place++) {
      const ticket = this.next(place, isHasty) as Ticket
      if (!hasTried(ticket)) return place > 0 ? ticket : undefined
    }
    return undefined
  }

  /** The place of the first ticket that did not come before `order`. */
  #indexOf(order: number): number {
    const tickets = this.#tickets
    let low = this.#first
    let high = tickets.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (tickets[middle]!.turn.order < order) low = middle + 1
      else high = middle
    }
    return low
  }

  #shift(): void {
    this.#first++
    // Half of it is gone: on the average a ticket is moved once.
    if (this.#first * 2 < this.#tickets.length) return
    this.#tickets.splice(0, this.#first)
    this.#first = 0
  }
}

/** Whether it was at a backend before, and may not go wherever others may. */
export function hasTried({ request: { tried } }: Ticket): boolean {
  return tried !== undefined && tried.size > 0
}
