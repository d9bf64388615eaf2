import {
  ANSWER_OVERHEAD_BYTES,
  DuplicateJobError,
  JOB_OVERHEAD_BYTES,
  KEPT_ANSWER_TTL_MS,
  ledgerFault,
  type JobEnd,
  type JobFilter,
  type JobRecord,
  type JobRun,
  type JobStatus,
  type KeptAnswer,
  type Ledger,
  type LedgerHealth,
  type LedgerLimits,
  type NewJob,
  type ReadOptions,
} from './ledger.ts'
import { steadyClock } from '../steadyClock.ts'

const PRUNE_EVERY_MS = 1000
/** Rows removed without letting anything else run in between. */
const PRUNE_STEP = 500

interface Entry {
  record: JobRecord
  request: Buffer | undefined
  end: JobEnd | undefined
}

/** Keeps jobs in this process alone: they are gone when it ends. */
export class MemoryLedger implements Ledger {
  readonly #limits: LedgerLimits
  readonly #jobs = new Map<string, Entry>()
  readonly #idsOf = new Map<string, Set<string>>()
  readonly #unfinished = new Set<string>()
  /** In the order in which they ended. */
  readonly #finished = new Set<string>()
  /** In the order in which they were given. */
  readonly #answers = new Map<string, KeptAnswer>()
  readonly #reqnums = new Map<string, number>()
  #keptBytes = 0
  #isClosed = false
  #pruning: NodeJS.Timeout

  constructor(limits: LedgerLimits) {
    this.#limits = limits
    this.#pruning = setTimeout(this.#prune, PRUNE_EVERY_MS).unref()
  }

  async unfinished(): Promise<JobRecord[]> {
    this.#refuseIfClosed()
    return [...this.#unfinished].map((id) => this.#entry(id)!.record)
  }

  async insert(jobs: readonly NewJob[], answer?: KeptAnswer): Promise<void> {
    this.#refuseIfClosed()
    const ids = new Set(jobs.map((job) => job.record.id))
    if (ids.size < jobs.length || [...ids].some((id) => this.#jobs.has(id))) throw new DuplicateJobError()
    for (const { record, request } of jobs) {
      this.#jobs.set(record.id, { record, request: request && ownCopy(request), end: undefined })
      this.#unfinished.add(record.id)
      this.#keptBytes += JOB_OVERHEAD_BYTES + containersBytes(record) + (request?.length ?? 0)
      const ids = this.#idsOf.get(record.caller)
      if (ids) ids.add(record.id)
      else this.#idsOf.set(record.caller, new Set([record.id]))
    }
    if (answer) this.#keep(answer)
    this.#dropOverCap()
  }

  async rerun(id: string, run: JobRun): Promise<void> {
    this.#update(id, run)
  }

  async markLeft(id: string): Promise<void> {
    this.#update(id, { clientGone: true })
  }

  async finish(id: string, end: JobEnd): Promise<boolean> {
    this.#refuseIfClosed()
    const entry = this.#jobs.get(id)
    if (!entry || entry.end) return false
    this.#keptBytes -= entry.request?.length ?? 0
    entry.request = undefined
    entry.end = {
      ...end,
      result: ownCopy(end.result),
      ...(end.intermediate && { intermediate: ownCopy(end.intermediate) }),
    }
    entry.record = { ...entry.record, state: end.state, finishedAt: end.finishedAt }
    this.#keptBytes += resultBytes(end)
    this.#unfinished.delete(id)
    this.#finished.add(id)
    this.#dropOverCap()
    return true
  }

  async request(id: string): Promise<Buffer | undefined> {
    this.#refuseIfClosed()
    return this.#jobs.get(id)?.request
  }

  async read(
    caller: string,
    ids: readonly string[],
    { withIntermediate = true }: ReadOptions = {},
  ): Promise<JobStatus[]> {
    this.#refuseIfClosed()
    const found = ids.map((id) => this.#entry(id)).filter((entry) => entry?.record.caller === caller)
    return found.map((entry) => statusOf(entry!, withIntermediate))
  }

  async find(id: string): Promise<JobRecord | undefined> {
    this.#refuseIfClosed()
    return this.#entry(id)?.record
  }

  async list(caller: string, filter: JobFilter): Promise<string[]> {
    this.#refuseIfClosed()
    return [...(this.#idsOf.get(caller) ?? [])].filter((id) => {
      const entry = this.#entry(id)
      return entry && (filter === 'all' || (filter === 'finished') === (entry.end !== undefined))
    })
  }

  async keptAnswer(caller: string, path: string, key: string): Promise<KeptAnswer | undefined> {
    this.#refuseIfClosed()
    const answer = this.#answers.get(answerKey({ caller, path, key }))
    return answer && answer.createdAt > steadyClock.expiryMs() - KEPT_ANSWER_TTL_MS ? answer : undefined
  }

  async nextReqnum(worker: string): Promise<number> {
    this.#refuseIfClosed()
    const next = (this.#reqnums.get(worker) ?? 0) + 1
    this.#reqnums.set(worker, next)
    return next
  }

  health(): LedgerHealth {
    return { writable: !this.#isClosed, keptBytes: this.#keptBytes, jobs: this.#jobs.size, held: 0 }
  }

  async probe(): Promise<boolean> {
    return !this.#isClosed
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#pruning)
  }

  /** The job, unless it ended longer ago than jobs are kept. */
  #entry(id: string): Entry | undefined {
    const entry = this.#jobs.get(id)
    return entry?.end && this.#isExpired(entry.end) ? undefined : entry
  }

  #isExpired(end: JobEnd): boolean {
    return end.finishedAt <= steadyClock.expiryMs() - this.#limits.ttlMs
  }

  #update(id: string, change: Partial<JobRecord>): void {
    this.#refuseIfClosed()
    const entry = this.#jobs.get(id)
    if (entry && !entry.end) entry.record = { ...entry.record, ...change }
  }

  #keep(answer: KeptAnswer): void {
    const key = answerKey(answer)
    const earlier = this.#answers.get(key)
    if (earlier && earlier.createdAt > steadyClock.expiryMs() - KEPT_ANSWER_TTL_MS) return
    if (earlier) this.#dropAnswer(key, earlier)
    this.#answers.set(key, { ...answer, body: ownCopy(answer.body), bodyHash: ownCopy(answer.bodyHash) })
    this.#keptBytes += ANSWER_OVERHEAD_BYTES + answer.body.length
  }

  readonly #prune = (): void => {
    let removed = 0
    for (const id of this.#finished) {
      if (removed >= PRUNE_STEP || !this.#isExpired(this.#jobs.get(id)!.end!)) break
      this.#dropJob(id)
      removed++
    }
    for (const [key, answer] of this.#answers) {
      if (removed >= PRUNE_STEP || answer.createdAt > steadyClock.expiryMs() - KEPT_ANSWER_TTL_MS) break
      this.#dropAnswer(key, answer)
      removed++
    }
    removed += this.#dropOverCap()
    const pauseMs = removed >= PRUNE_STEP ? 0 : PRUNE_EVERY_MS
    if (!this.#isClosed) this.#pruning = setTimeout(this.#prune, pauseMs).unref()
  }

  #dropOverCap(): number {
    let removed = 0
    for (const id of this.#finished) {
      if (this.#keptBytes <= this.#limits.maxBytes || removed >= PRUNE_STEP) return removed
      this.#dropJob(id)
      removed++
    }
    for (const [key, answer] of this.#answers) {
      if (this.#keptBytes <= this.#limits.maxBytes || removed >= PRUNE_STEP) return removed
      this.#dropAnswer(key, answer)
      removed++
    }
    return removed
  }

  #dropJob(id: string): void {
    const { record, end } = this.#jobs.get(id)!
    this.#jobs.delete(id)
    this.#finished.delete(id)
    const ids = this.#idsOf.get(record.caller)
    ids?.delete(id)
    if (ids?.size === 0) this.#idsOf.delete(record.caller)
    this.#keptBytes -= JOB_OVERHEAD_BYTES + containersBytes(record) + (end ? resultBytes(end) : 0)
  }

  #dropAnswer(key: string, answer: KeptAnswer): void {
    this.#answers.delete(key)
    this.#keptBytes -= ANSWER_OVERHEAD_BYTES + answer.body.length
  }

  #refuseIfClosed(): void {
    if (this.#isClosed) throw ledgerFault('it is shutting down')
  }
}

/** Bytes of its own: a small piece of a large buffer would keep all of that alive. */
function ownCopy(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(copy)
  return copy
}

/** A job may list one container many thousand times. */
function containersBytes({ containers }: JobRecord): number {
  return Buffer.byteLength(JSON.stringify(containers))
}

function resultBytes(end: JobEnd): number {
  return end.result.length + (end.intermediate?.length ?? 0)
}

function answerKey({ caller, path, key }: Pick<KeptAnswer, 'caller' | 'path' | 'key'>): string {
  return `${caller}\n${path}\n${key}`
}

function statusOf({ record, end }: Entry, withIntermediate: boolean): JobStatus {
  return {
    id: record.id,
    state: record.state,
    node: record.node,
    ...(end && { result: end.result }),
    ...(withIntermediate && end?.intermediate && { intermediate: end.intermediate }),
  }
}
