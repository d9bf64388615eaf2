import type { LiveJob } from './liveJob.ts'

/** Intermediate results of a running job that are longer, or more of them in all, are told only when it has ended, bytes. */
const MAX_BYTES = 64_000
const MAX_BYTES_IN_ALL = 64_000_000

/** A job's intermediate results before its first step has ended, as nodes write them. */
const NONE_YET = '[]'

/** The intermediate results of running jobs, as far as they are short enough to keep in memory. */
export class Intermediates {
  #bytesInAll = 0

  /** What a node tells of a job now; replaces what it told before. */
  keep(job: LiveJob, bytes: Buffer | undefined): void {
    this.#bytesInAll -= job.intermediate?.length ?? 0
    const length = bytes?.length ?? 0
    const fits = length <= MAX_BYTES && this.#bytesInAll + length <= MAX_BYTES_IN_ALL
    job.intermediate = fits ? bytes : undefined
    this.#bytesInAll += job.intermediate?.length ?? 0
  }

  /** The same. Returns what is new to others: once for each step of the job. */
  update(job: LiveJob, bytes: Buffer | undefined): Buffer | undefined {
    const { intermediate: before } = job
    this.keep(job, bytes)
    const { intermediate: after } = job
    if (!after || before?.equals(after)) return undefined
    const isFirst = before === undefined && after.length === NONE_YET.length
    return isFirst ? undefined : after
  }
}
