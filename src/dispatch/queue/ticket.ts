import type { Priority } from '../../base/priority.ts'
import type { GatewayFault } from '../../faults.ts'
import type { TrackedNode } from '../../fleet/node.ts'
import type { Lease } from '../lease.ts'
import type { Turn, WorkRequest } from '../workRequest.ts'
import type { Account } from './account.ts'

/** Whose requests it is among. */
export interface Seat {
  readonly account: Account
  readonly priority: Priority
}

/** What happens to tickets besides being served. */
export interface TicketEnds {
  left(ticket: Ticket): void
  timedOut(ticket: Ticket): void
}

/** One request that waits for a place. It ends exactly once: served, refused, left, or timed out. */
export class Ticket {
  readonly request: WorkRequest
  readonly seat: Seat
  readonly turn: Turn
  readonly promise: Promise<Lease>
  /** Monotonic seconds. */
  readonly since: number
  /** When it has waited for long enough, monotonic seconds. */
  readonly deadline: number
  /** A busy backend that has the beginning of its prompt in its cache. */
  home: TrackedNode | undefined
  /** Since when it could have been served, but for a better backend that is busy. Monotonic seconds. */
  heldSince: number | undefined
  readonly #signal: AbortSignal
  readonly #ends: TicketEnds
  readonly #timer: NodeJS.Timeout
  #resolve!: (lease: Lease) => void
  #reject!: (reason: Error) => void

  constructor(
    seat: Seat,
    request: WorkRequest,
    turn: Turn,
    wait: { now: number; signal: AbortSignal; ends: TicketEnds },
  ) {
    this.seat = seat
    this.request = request
    this.turn = turn
    this.since = wait.now
    this.deadline = wait.now + turn.secondsLeft
    this.#signal = wait.signal
    this.#ends = wait.ends
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.#timer = setTimeout(timedOut, turn.secondsLeft * 1000, this).unref()
    this.#signal.addEventListener('abort', this)
  }

  /** Its client has left. */
  handleEvent(): void {
    this.#ends.left(this)
  }

  /** Its time is over. */
  timedOut(): void {
    this.#ends.timedOut(this)
  }

  served(lease: Lease): void {
    this.#end()
    this.#resolve(lease)
  }

  /** @param reason default: why its client left */
  failed(reason: Error = this.#signal.reason as GatewayFault): void {
    this.#end()
    this.#reject(reason)
  }

  #end(): void {
    clearTimeout(this.#timer)
    this.#signal.removeEventListener('abort', this)
  }
}

function timedOut(ticket: Ticket): void {
  ticket.timedOut()
}
