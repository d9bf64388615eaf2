import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { LiveJob, LiveJobs } from './liveJobs.ts'

export interface AskersEvents {
  /** A client at this address asks for a job that runs, and will not wait. */
  asked: [job: LiveJob, address: string]
  /** Somebody waits for it from now on. */
  awaited: [job: LiveJob]
}

/** A client that waits until one of its jobs has ended. */
interface Waiter {
  readonly address: string
  readonly end: () => void
}

/** Who waits, and for how long. */
export interface Wait {
  /** The client's true address, on whose account nodes are asked. */
  readonly address: string
  readonly seconds: number
  /** Of the request that waits: where its client leaves, there is nobody to wait for. */
  readonly res: ServerResponse
}

/** The clients that ask for unfinished jobs, and those that wait for their ends: these are told by the event itself. */
export class Askers extends EventEmitter<AskersEvents> {
  readonly #waitersFor = new Map<string, Set<Waiter>>()
  /** All that wait, whatever for. */
  readonly #waiters = new Set<Waiter>()
  #isClosed = false

  constructor(live: LiveJobs) {
    super()
    live.on('ended', ({ record }) => {
      for (const waiter of this.#waitersFor.get(record.id) ?? []) waiter.end()
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
    return this.#waitersFor.has(record.id)
  }

  /** Addresses of the clients that wait for a job. */
  *addressesOf({ record }: LiveJob): Generator<string> {
    for (const { address } of this.#waitersFor.get(record.id) ?? []) yield address
  }

  /**
   * Resolves when the first of these unfinished jobs has ended, the time is over, the client has left, or the gateway begins
   * to shut down.
   */
  async firstEnd(jobs: readonly LiveJob[], { address, seconds, res }: Wait): Promise<void> {
    if (this.#isClosed || res.destroyed || jobs.length === 0) return
    const { promise, resolve: end } = Promise.withResolvers<void>()
    const waiter = { address, end }
    const timer = setTimeout(end, seconds * 1000)
    res.on('close', end)
    this.#add(waiter, jobs)
    try {
      for (const job of jobs) this.emit('awaited', job)
      await promise
    } finally {
      clearTimeout(timer)
      res.off('close', end)
      this.#remove(waiter, jobs)
    }
  }

  /** Ends all waits; from now on nobody waits. */
  close(): void {
    this.#isClosed = true
    for (const { end } of this.#waiters) end()
  }

  #add(waiter: Waiter, jobs: readonly LiveJob[]): void {
    this.#waiters.add(waiter)
    for (const { record } of jobs) {
      const waiters = this.#waitersFor.get(record.id)
      if (waiters) waiters.add(waiter)
      else this.#waitersFor.set(record.id, new Set([waiter]))
    }
  }

  #remove(waiter: Waiter, jobs: readonly LiveJob[]): void {
    this.#waiters.delete(waiter)
    for (const { record } of jobs) {
      const waiters = this.#waitersFor.get(record.id)
      if (waiters?.delete(waiter) && waiters.size === 0) this.#waitersFor.delete(record.id)
    }
  }
}
