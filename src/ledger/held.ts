import type { JobEnd, JobRecord, JobRun, JobStatus } from './ledger.ts'

/** What became of a job that runs already. */
export interface JobChange {
  readonly run?: JobRun
  readonly isLeft?: boolean
  readonly end?: JobEnd
}

/** `full`: not taken, too much is held already. */
export type HoldOutcome = 'held' | 'alreadyFinal' | 'full'

const MAX_BYTES = 128 * 1024 * 1024
const MAX_JOBS = 100_000

/** Changes that could not be written yet: at most one for each job, and only so much of them. */
export class HeldChanges {
  readonly #changes = new Map<string, JobChange>()
  readonly #maxBytes: number
  readonly #maxJobs: number
  #bytes = 0

  /** `maxBytes` bounds the results. */
  constructor(maxBytes = MAX_BYTES, maxJobs = MAX_JOBS) {
    this.#maxBytes = maxBytes
    this.#maxJobs = maxJobs
  }

  get size(): number {
    return this.#changes.size
  }

  get(id: string): JobChange | undefined {
    return this.#changes.get(id)
  }

  entries(): [id: string, change: JobChange][] {
    return [...this.#changes]
  }

  /** Adds to what is held of a job; later runs replace earlier ones, the first final state stands. */
  hold(id: string, change: JobChange): HoldOutcome {
    const earlier = this.#changes.get(id)
    if (earlier?.end) return 'alreadyFinal'
    const bytes = bytesOf(change)
    if (this.#bytes + bytes > this.#maxBytes || (!earlier && this.#changes.size >= this.#maxJobs)) return 'full'
    this.#changes.set(id, { ...earlier, ...change })
    this.#bytes += bytes
    return 'held'
  }

  /** Forgets a change that has been written, unless more was added to it meanwhile. */
  written(id: string, change: JobChange): void {
    if (this.#changes.get(id) !== change) return
    this.#changes.delete(id)
    this.#bytes -= bytesOf(change)
  }

  /** A record as it will be once everything is written. */
  applyToRecord(record: JobRecord): JobRecord {
    const change = record.state === 'running' ? this.#changes.get(record.id) : undefined
    if (!change) return record
    const { run, isLeft, end } = change
    return {
      ...record,
      ...run,
      ...(isLeft && { clientGone: true }),
      ...(end && { state: end.state, finishedAt: end.finishedAt }),
    }
  }

  applyToStatus(status: JobStatus, withIntermediate: boolean): JobStatus {
    const change = status.state === 'running' ? this.#changes.get(status.id) : undefined
    if (!change) return status
    const { run, end } = change
    return {
      ...status,
      ...(run && { node: run.node }),
      ...(end && { state: end.state, result: end.result }),
      ...(withIntermediate && end?.intermediate && { intermediate: end.intermediate }),
    }
  }
}

function bytesOf({ end }: JobChange): number {
  return end ? end.result.length + (end.intermediate?.length ?? 0) : 0
}
