import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Logger } from '../base/logger.ts'
import { ledgerFault, type JobEnd, type JobRecord, type JobRun, type JobStatus } from './ledger.ts'

const RETRY_EVERY_MS = 2000
/** Changes that are written at once. */
const BATCH = 100
/** Results that are held, in all. */
const MAX_BYTES = 128 * 1024 * 1024
const MAX_JOBS = 100_000

/** What became of a job that runs already. */
export interface JobChange {
  /** A run that begins where the job was in run number `expected`. */
  readonly start?: { readonly run: JobRun; readonly expected: number }
  readonly isLeft?: boolean
  readonly end?: JobEnd
}

/** A store that may be unable to write for a while. */
export interface UnsteadyStore {
  /** Writes a change; false if the job is final or unknown, or not in the run that is expected. */
  write(id: string, change: JobChange): Promise<boolean>
  /** Whether an error of a write means that the same can succeed later. */
  isTemporary(error: unknown): boolean
  /** Whether it could be written at the last attempt. */
  isWritable(): boolean
  /** Tries whether it can be written. */
  probe(): Promise<unknown>
  /** Whether callers wait for what is held until it is written; then too much is refused with ERR_LEDGER. */
  readonly settlesWhenWritten?: boolean
}

interface PendingChange {
  readonly change: JobChange
  /** Bytes that count against the budget. */
  readonly bytes: number
  /** Settle when the change is written. They belong to callers whose part of it was over the budget. */
  readonly waiting: readonly PromiseWithResolvers<boolean>[]
}

interface Held {
  readonly outcome: Promise<boolean> | boolean
}

/**
 * Changes of jobs that run, on their way to a store. What the store cannot take is held, seen by reads, and tried again
 * every two seconds; beyond a budget the caller waits until it is written. The changes of one job are written in the
 * order in which they came: one that had to wait never undoes a later one.
 */
export class PendingWrites {
  readonly #store: UnsteadyStore
  readonly #logger: Logger
  readonly #maxBytes: number
  readonly #maxJobs: number
  readonly #pending = new Map<string, PendingChange>()
  /** The last write of each job that is under way or waits for its turn; settles when that is over. */
  readonly #turns = new Map<string, Promise<void>>()
  #bytes = 0
  #timer: NodeJS.Timeout | undefined
  #nextTry = Promise.withResolvers<void>()
  /** Writes that wait for the next try. */
  #waiting = 0
  /** Why nothing is written any more. */
  #refusal: Error | undefined

  constructor(store: UnsteadyStore, logger: Logger, maxBytes = MAX_BYTES, maxJobs = MAX_JOBS) {
    this.#store = store
    this.#logger = logger
    this.#maxBytes = maxBytes
    this.#maxJobs = maxJobs
  }

  /** Jobs with a change that is not written yet, although it was tried. */
  get size(): number {
    return this.#pending.size
  }

  hasEnded(id: string): boolean {
    return this.#pending.get(id)?.change.end !== undefined
  }

  /**
   * Writes a change of a job, or holds it; false if the job is final or unknown, or not in the run that is expected. The
   * first final state stands.
   */
  async change(id: string, change: JobChange): Promise<boolean> {
    const { outcome } = await this.#inTurn(id, () => this.#writeOrHold(id, change))
    return outcome
  }

  /**
   * Ends a job by a write that cannot be held, such as one whose result is in the store already; settles when it is
   * written, after what is held of the job. False if another end came first.
   */
  async end(id: string, write: () => Promise<boolean>): Promise<boolean> {
    for (;;) {
      const { promise: nextTry } = this.#nextTry
      try {
        const isWritten = await this.#inTurn(id, async () => {
          if (this.hasEnded(id)) return false
          return (await this.#write(id)) ? write() : undefined
        })
        if (isWritten !== undefined) return isWritten
      } catch (error) {
        if (this.#refusal) throw error
        if (!this.#store.isTemporary(error)) throw this.#givenUp(id, error)
      }
      this.#waiting++
      this.keepTrying()
      await nextTry
      this.#waiting--
    }
  }

  /** Looks every two seconds whether the store can be written, until it can and nothing is left. */
  keepTrying(): void {
    if (this.#refusal) return
    this.#timer ??= setTimeout(() => void this.#try(), RETRY_EVERY_MS).unref()
  }

  /**
   * Waits for all writes that have begun or wait for their turn, and tries a last time what is held. What cannot be written
   * is lost to the store, and whoever waits for it, or comes later, is refused.
   */
  async close(refusal: Error): Promise<void> {
    while (this.#turns.size > 0) await Promise.all(this.#turns.values())
    this.#refusal = refusal
    clearTimeout(this.#timer)
    await this.#writeAll()
    if (this.size > 0) this.#logger.error('ledger: changes could not be written before the end', { jobs: this.size })
    for (const { waiting } of this.#pending.values()) for (const { reject } of waiting) reject(refusal)
    this.#wake()
    await nextTurn()
  }

  /** A record as it will be once everything is written. */
  applyToRecord(record: JobRecord): JobRecord {
    const change = record.state === 'running' ? this.#pending.get(record.id)?.change : undefined
    if (!change) return record
    const { start, isLeft, end } = change
    return {
      ...record,
      ...start?.run,
      ...(isLeft && { clientGone: true }),
      ...(end && { state: end.state, finishedAt: end.finishedAt }),
    }
  }

  applyToStatus(status: JobStatus, withIntermediate: boolean): JobStatus {
    const change = status.state === 'running' ? this.#pending.get(status.id)?.change : undefined
    if (!change) return status
    const { start, end } = change
    return {
      ...status,
      ...(start && { node: start.run.node }),
      ...(end && { state: end.state, result: end.result }),
      ...(withIntermediate && end?.intermediate && { intermediate: end.intermediate }),
    }
  }

  /** Runs a task after all writes of the job that came before it. */
  async #inTurn<Outcome>(id: string, task: () => Promise<Outcome>): Promise<Outcome> {
    const before = this.#turns.get(id)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#turns.set(id, promise)
    try {
      if (before) await before
      return await task()
    } finally {
      if (this.#turns.get(id) === promise) this.#turns.delete(id)
      resolve()
    }
  }

  async #writeOrHold(id: string, change: JobChange): Promise<Held> {
    if (this.#refusal) throw this.#refusal
    if (this.#pending.has(id)) return this.#hold(id, change)
    try {
      return { outcome: await this.#store.write(id, change) }
    } catch (error) {
      if (this.#refusal) throw error
      if (!this.#store.isTemporary(error)) throw this.#givenUp(id, error)
      return this.#hold(id, change)
    }
  }

  async #try(): Promise<void> {
    if (!this.#store.isWritable()) await this.#store.probe()
    if (this.#store.isWritable()) {
      await this.#writeAll()
      this.#wake()
    }
    this.#timer = undefined
    if (this.size > 0 || this.#waiting > 0 || !this.#store.isWritable()) this.keepTrying()
  }

  #wake(): void {
    this.#nextTry.resolve()
    this.#nextTry = Promise.withResolvers()
  }

  /** Writes what is pending, until something cannot be written. */
  async #writeAll(): Promise<void> {
    const ids = [...this.#pending.keys()]
    while (ids.length > 0) {
      const outcomes = await Promise.all(ids.splice(0, BATCH).map((id) => this.#inTurn(id, () => this.#write(id))))
      if (outcomes.includes(false)) return
    }
  }

  async #write(id: string): Promise<boolean> {
    const pending = this.#pending.get(id)
    if (!pending) return true
    const { change, waiting } = pending
    try {
      const outcome = await this.#store.write(id, change)
      for (const { resolve } of waiting) resolve(outcome)
    } catch (error) {
      if (this.#store.isTemporary(error)) return false
      this.#givenUp(id, error)
      for (const { reject } of waiting) reject(error)
    }
    this.#pending.delete(id)
    this.#bytes -= pending.bytes
    return true
  }

  /** A change that can never be written: its job stays unfinished in the store. */
  #givenUp(id: string, error: unknown): unknown {
    this.#logger.error('ledger: a change was given up', { job: id, error: (error as Error).message })
    return error
  }

  /** Adds to what is held of a job. The outcome may be a promise, which settles in a later turn of the job. */
  #hold(id: string, change: JobChange): Held {
    const earlier = this.#pending.get(id)
    if (earlier?.change.end) return { outcome: false }
    const { start: earlierStart } = earlier?.change ?? {}
    if (change.start && earlierStart && change.start.expected !== earlierStart.run.runs) return { outcome: false }
    // Written in one piece, the last run follows the one that the first was to follow.
    const start = change.start && earlierStart ? { ...change.start, expected: earlierStart.expected } : change.start
    const bytes = bytesOf(change)
    const fits = this.#bytes + bytes <= this.#maxBytes && (earlier !== undefined || this.size < this.#maxJobs)
    const { settlesWhenWritten } = this.#store
    if (!fits && settlesWhenWritten) throw ledgerFault('too much waits to be written')
    const written = fits && !settlesWhenWritten ? undefined : Promise.withResolvers<boolean>()
    this.#pending.set(id, {
      change: { ...earlier?.change, ...change, ...(start && { start }) },
      bytes: (earlier?.bytes ?? 0) + (fits ? bytes : 0),
      waiting: [...(earlier?.waiting ?? []), ...(written ? [written] : [])],
    })
    if (fits) this.#bytes += bytes
    this.keepTrying()
    return { outcome: written?.promise ?? true }
  }
}

function bytesOf({ end }: JobChange): number {
  return end ? end.result.length + (end.intermediate?.length ?? 0) : 0
}
