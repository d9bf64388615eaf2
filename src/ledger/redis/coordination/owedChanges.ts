import type { EventEmitter } from 'node:events'
import type { Membership, MembershipEvents } from '../../../replicas/index.ts'

/** Changes that wait for Redis at once. Each belongs to a request of a moment ago; without Redis there are soon no more of them. */
const MOST_OWED = 10_000

interface Owed {
  /** Its place in the order in which changes were asked for, which they keep when they are tried again. */
  readonly number: number
  readonly replica: string
  readonly change: () => Promise<unknown>
}

/**
 * Changes that undo what this replica did in Redis: made at once, and where that fails again at each beat until they succeed. Else a
 * place that could not be given back in an outage would be missing until the replica ends. What was done without our learning of it
 * is done twice: the changes must bear that. They are dropped with the life that they belong to.
 */
export class OwedChanges {
  readonly #membership: Pick<Membership, 'self'>
  readonly #most: number
  #owed: Owed[] = []
  #last = 0

  constructor(membership: Pick<Membership, 'self'> & EventEmitter<MembershipEvents>, most = MOST_OWED) {
    this.#membership = membership
    this.#most = most
    membership.on('seen', () => this.#tryAgain())
  }

  /** `replica`: the life of this replica that the change belongs to. Settles after the first attempt; never rejects. */
  do(replica: string, change: () => Promise<unknown>): Promise<void> {
    return this.#try({ number: ++this.#last, replica, change })
  }

  #tryAgain(): void {
    const owed = this.#owed.sort((a, b) => a.number - b.number)
    this.#owed = []
    for (const each of owed) if (each.replica === this.#membership.self) void this.#try(each)
  }

  async #try(owed: Owed): Promise<void> {
    try {
      await owed.change()
    } catch {
      if (this.#owed.length < this.#most) this.#owed.push(owed)
    }
  }
}
