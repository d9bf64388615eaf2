import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { nextTurn, tellWait } from '../base/index.ts'
import type { JobRecord, SharedLedger } from '../ledger/index.ts'
import { Leaving } from '../upstream/index.ts'
import { LedgerWatch } from './ledgerWatch.ts'
import type { LiveJob, LiveJobs } from './liveJobs.ts'

export interface AskersEvents {
  /** A client at this address asks for a job that runs, and will not wait. */
  asked: [job: LiveJob, address: string]
  /** Somebody waits for it from now on. */
  awaited: [job: LiveJob, address: string]
}

/** A client that waits until one of its jobs has ended. */
interface Waiter {
  readonly address: string
  readonly end: () => void
}

/** Those who wait for one job. */
interface Awaited {
  readonly waiters: Set<Waiter>
  /** How many of them each client is. */
  readonly addresses: Map<string, number>
}

/** A job that clients wait for, whichever gateway follows it. */
export type AwaitedJob = Pick<JobRecord, 'id' | 'caller'>

/** Who waits, and for how long. */
export interface Wait {
  /** The client's true address, on whose account nodes are asked. */
  readonly address: string
  readonly seconds: number
  /** Of the request that waits. The wait ends when its client leaves. */
  readonly res: ServerResponse
}

/**
 * The clients that ask for unfinished jobs, and those that wait for their ends: these are told by the event itself, or where
 * another gateway follows the job, when the shared ledger has its end.
 */
export class Askers extends EventEmitter<AskersEvents> {
  readonly #awaited = new Map<string, Awaited>()
  /** All clients that wait, for any job. */
  readonly #waiters = new Set<Waiter>()
  readonly #live: LiveJobs
  /** The jobs that clients wait for and that are not ours. */
  readonly #watch: LedgerWatch | undefined
  #isClosed = false

  /** `shared`: the ledger, where several gateways share it. */
  constructor(live: LiveJobs, shared?: SharedLedger) {
    super()
    this.#live = live
    live.on('ended', ({ record }) => this.#endWaits(record.id))
    live.on('provisional', ({ record }) => this.#endWaits(record.id))
    if (!shared) return
    this.#watch = new LedgerWatch(shared, (id) => this.#endWaits(id))
    live.on('disowned', ({ record: { id, caller } }) => {
      if (this.#awaited.has(id)) this.#watch?.add(id, caller)
    })
  }

  /** Clients that wait at present. */
  get waiting(): number {
    return this.#waiters.size
  }

  /** A client asks for a job that runs, and will not wait. */
  asks(job: LiveJob, address: string): void {
    this.emit('asked', job, address)
  }

  isAwaited({ record }: LiveJob): boolean {
    return this.#awaited.has(record.id)
  }

  /** Addresses of the clients that wait for a job, each once. */
  addressesOf({ record }: LiveJob): Iterable<string> {
    return this.#awaited.get(record.id)?.addresses.keys() ?? []
  }

  /**
   * Resolves when the first of these unfinished jobs has ended, the time is over, the client has left, or the gateway begins
   * to shut down; of many that are told at once, one in each turn of the event loop.
   */
  async firstEnd(jobs: readonly AwaitedJob[], { address, seconds, res }: Wait): Promise<void> {
    if (this.#isClosed || res.destroyed || jobs.length === 0) return
    const startedAt = performance.now()
    const { promise, resolve: end } = Promise.withResolvers<void>()
    const waiter = { address, end }
    const timer = setTimeout(end, seconds * 1000)
    const leaving = new Leaving(res)
    leaving.signal.addEventListener('abort', () => end())
    this.#add(waiter, jobs)
    try {
      for (const { id, caller } of jobs) {
        const job = this.#live.find(id)
        if (job) this.emit('awaited', job, address)
        else this.#watch?.add(id, caller)
      }
      await promise
    } finally {
      clearTimeout(timer)
      leaving.forget()
      this.#remove(waiter, jobs)
      tellWait('job', startedAt)
    }
    // Thousands may wait for one job: their answers are made one a turn.
    await nextTurn()
  }

  /** Ends all waits, and every later one at once. */
  close(): void {
    this.#isClosed = true
    for (const { end } of this.#waiters) end()
  }

  #endWaits(id: string): void {
    for (const { end } of this.#awaited.get(id)?.waiters ?? []) end()
  }

  #add(waiter: Waiter, jobs: readonly AwaitedJob[]): void {
    this.#waiters.add(waiter)
    const { address } = waiter
    for (const { id } of jobs) {
      let awaited = this.#awaited.get(id)
      if (!awaited) this.#awaited.set(id, (awaited = { waiters: new Set(), addresses: new Map() }))
      awaited.waiters.add(waiter)
      awaited.addresses.set(address, (awaited.addresses.get(address) ?? 0) + 1)
    }
  }

  #remove(waiter: Waiter, jobs: readonly AwaitedJob[]): void {
    this.#waiters.delete(waiter)
    const { address } = waiter
    for (const { id } of jobs) {
      const awaited = this.#awaited.get(id)
      if (!awaited?.waiters.delete(waiter)) continue
      const others = (awaited.addresses.get(address) ?? 1) - 1
      if (others > 0) awaited.addresses.set(address, others)
      else awaited.addresses.delete(address)
      if (awaited.waiters.size > 0) continue
      this.#awaited.delete(id)
      this.#watch?.remove(id)
    }
  }
}
