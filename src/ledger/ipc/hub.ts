import type { Ledger } from '../ledger.ts'
import { SharedState } from './lives.ts'
import { HubMember } from './member.ts'

/** How often all members learn of each other, ms. They learn at once when one comes, leaves or dies. */
const BEAT_MS = 1000

/**
 * What the workers of one machine share: a ledger of this process, and which of them owns which unfinished job. Each member is a
 * ledger that one worker uses. The rules are those of replicas, with an event instead of a time-out: a member is alive until it
 * is closed, and then gone at once, so it is always sure of its jobs.
 */
export class WorkerHub {
  readonly #state: SharedState
  readonly #members = new Set<HubMember>()
  readonly #beat: NodeJS.Timeout
  #isTelling = false

  private constructor(ledger: Ledger) {
    this.#state = new SharedState(ledger, () => this.#tellSoon())
    this.#beat = setInterval(this.#tell, BEAT_MS).unref()
  }

  /** Jobs that the ledger knows as unfinished belong to a replica that is gone, so that the first member takes them over. */
  static async open(ledger: Ledger): Promise<WorkerHub> {
    const hub = new WorkerHub(ledger)
    const former = hub.#state.begin()
    for (const job of await ledger.unfinished()) hub.#state.owners.restore(former, job)
    hub.#state.end(former)
    return hub
  }

  /** A ledger for one more worker; closing it ends the life of the worker, not the hub's ledger. */
  join(): HubMember {
    const member = new HubMember(this.#state, () => this.#members.delete(member))
    this.#members.add(member)
    return member
  }

  /** All members leave at once: none takes over the jobs of another. */
  leaveAll(): void {
    for (const { membership } of this.#members) void membership.leave()
    this.#tell()
  }

  /** Closes all members. The ledger stays open. */
  async close(): Promise<void> {
    clearInterval(this.#beat)
    await Promise.all([...this.#members].map((member) => member.close()))
  }

  /** Once for all that happens in one turn of the event loop. */
  #tellSoon(): void {
    if (this.#isTelling) return
    this.#isTelling = true
    setImmediate(this.#tell)
  }

  readonly #tell = (): void => {
    this.#isTelling = false
    const { replicas } = this.#state
    for (const { membership } of this.#members) membership.tell(replicas)
  }
}
