/** The node's memory of jobs: one record an address and id; running ones expire, finished ones stay. */
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { asciiJson } from './jsonText.ts'

export type JobStatus = 'running' | 'success' | 'failed'

/** One container's result as JSON text (latin1): `{"container":…,"output":…}` or `{"container":…,"error":…}`. */
export type ResultText = string

export interface JobRecord {
  id: string
  ip: string
  status: JobStatus
  result: ResultText
  intermediate: readonly ResultText[]
}

interface Pending {
  job: JobRecord
  /** `performance.now()` time. */
  expiresAtMs: number
}

export class JobStore {
  readonly #pending = new Map<string, Pending>()
  readonly #finished = new Map<string, JobRecord>()
  readonly #ttlMs: () => number
  readonly #keepFinished: number
  readonly #file: string | undefined

  /** Reads what an earlier process left in `file`. */
  constructor(ttlMs: () => number, keepFinished: number, file: string | undefined) {
    this.#ttlMs = ttlMs
    this.#keepFinished = keepFinished
    this.#file = file
    if (!file || !existsSync(file)) return
    for (const line of readFileSync(file, 'latin1').split('\n')) {
      if (!line) continue
      const job = JSON.parse(line) as JobRecord
      this.#finished.set(key(job.ip, job.id), job)
    }
  }

  setRunning(ip: string, id: string): void {
    const at = key(ip, id)
    // Taken out first: the map stays in the order in which its records expire.
    this.#pending.delete(at)
    const job: JobRecord = { id, ip, status: 'running', result: 'null', intermediate: [] }
    this.#pending.set(at, { job, expiresAtMs: performance.now() + this.#ttlMs() })
  }

  setFinished(job: JobRecord): void {
    const at = key(job.ip, job.id)
    this.#pending.delete(at)
    this.#finished.delete(at)
    this.#finished.set(at, job)
    if (this.#finished.size > 1.25 * this.#keepFinished) this.#dropOldest(this.#finished.size - this.#keepFinished)
    if (this.#file) appendFileSync(this.#file, `${JSON.stringify(job)}\n`, 'latin1')
  }

  get pendingCount(): number {
    this.#expire()
    return this.#pending.size
  }

  /** The known ones of these jobs as a JSON array: first the finished ones, then those that run, each in the order asked. */
  describe(ip: string, ids: readonly string[], withIntermediate: boolean): string {
    this.#expire()
    const finished = ids.map((id) => this.#finished.get(key(ip, id)))
    const pending = ids.map((id) => this.#pending.get(key(ip, id))?.job)
    const known = [...finished, ...pending].filter((job) => job !== undefined)
    return `[${known.map((job) => jobText(job, withIntermediate)).join(',')}]`
  }

  /** Ids of the caller's jobs, running ones first. */
  list(ip: string, pending: boolean | undefined): string[] {
    this.#expire()
    const keys: string[] = []
    if (pending !== false) keys.push(...this.#pending.keys())
    if (pending !== true) keys.push(...this.#finished.keys())
    // What follows the first colon, as in the real one: an IPv6 caller is told nonsense.
    return keys.filter((at) => at.startsWith(`${ip}:`)).map((at) => at.split(':')[1] ?? '')
  }

  forgetPending(): void {
    this.#pending.clear()
  }

  forgetFinished(): void {
    this.#finished.clear()
  }

  /** Many at once: each walk from a map's start passes over all that was deleted there before. */
  #dropOldest(count: number): void {
    for (const at of this.#finished.keys()) {
      if (count-- <= 0) return
      this.#finished.delete(at)
    }
  }

  #expire(): void {
    const nowMs = performance.now()
    for (const [at, { expiresAtMs }] of this.#pending) {
      if (expiresAtMs > nowMs) return
      this.#pending.delete(at)
    }
  }
}

function key(ip: string, id: string): string {
  return `${ip}:${id}`
}

function jobText(job: JobRecord, withIntermediate: boolean): string {
  const between = withIntermediate ? `"intermediate_results":[${job.intermediate.join(',')}],` : ''
  return `{"id":${asciiJson(job.id)},${between}"result":${job.result},"status":"${job.status}"}`
}
