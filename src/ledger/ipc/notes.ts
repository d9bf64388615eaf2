import type { JobStatus } from '../ledger.ts'

/** Bytes of intermediate results of running jobs; what does not fit is not kept. */
const MAX_BYTES = 64 * 1024 * 1024

/** Intermediate results of running jobs, as their owners noted them last. */
export class HubNotes {
  readonly #notes = new Map<string, Buffer>()
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  set(id: string, intermediate: Buffer): void {
    this.delete(id)
    if (this.#bytes + intermediate.length > MAX_BYTES) return
    // A copy: a view would keep the whole message alive that it came with.
    this.#notes.set(id, Buffer.from(intermediate))
    this.#bytes += intermediate.length
  }

  delete(id: string): void {
    this.#bytes -= this.#notes.get(id)?.length ?? 0
    this.#notes.delete(id)
  }

  /** Adds what was noted of the jobs that run. */
  applyTo(statuses: JobStatus[]): JobStatus[] {
    if (this.#notes.size === 0) return statuses
    return statuses.map((status) => {
      const intermediate = status.state === 'running' ? this.#notes.get(status.id) : undefined
      return intermediate ? { ...status, intermediate } : status
    })
  }
}
