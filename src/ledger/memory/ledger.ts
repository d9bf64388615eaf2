import { Arrivals } from './arrivals.ts'
import {
  answerBytes,
  DuplicateJobError,
  KEPT_ANSWER_TTL_MS,
  ledgerFault,
  PIECE_BYTES,
  resultGone,
  unfinishedBytes,
  type JobEnd,
  type JobFilter,
  type JobRecord,
  type JobRun,
  type JobStatus,
  type IdempotencyRecord,
  type Ledger,
  type LedgerHealth,
  type LedgerLimits,
  type NewJob,
  type ReadOptions,
  type ReceivedResult,
  type ResultPart,
  type UnfinishedJob,
  type JobsPage,
  type JobsQuery,
} from '../ledger.ts'
import { steadyClock } from '../../base/steadyClock.ts'
import { LongBytes } from '../longBytes.ts'
import { MemoryShares } from './shares.ts'
import { MemoryUsage } from './usage.ts'
import { MemoryValues } from './values.ts'

const PRUNE_EVERY_MS = 1000
/** Rows removed without letting anything else run in between. */
const PRUNE_STEP = 500

interface Entry {
  record: JobRecord
  /** Of the job without request and result. */
  readonly rowBytes: number
  request: Buffer | undefined
  end: KeptEnd | undefined
}

/** Pieces of at most PIECE_BYTES, so that a reader keeps no more alive than the one that it has. */
interface KeptEnd {
  readonly finishedAt: number
  readonly result: readonly Buffer[]
  readonly intermediate: readonly Buffer[] | undefined
}

/** Keeps jobs in this process alone: they are gone when it ends. */
export class MemoryLedger implements Ledger {
  readonly shared = undefined
  readonly values = new MemoryValues(() => this.#refuseIfClosed())
  readonly usage = new MemoryUsage(() => this.#refuseIfClosed())
  readonly #limits: LedgerLimits
  readonly #jobs = new Map<string, Entry>()
  readonly #idsOf = new Map<string, Set<string>>()
  readonly #arrivals = new Arrivals()
  readonly #unfinished = new Set<string>()
  /** In the order in which they ended. */
  readonly #finished = new Set<string>()
  /** In the order in which they were given. */
  readonly #answers = new Map<string, IdempotencyRecord>()
  readonly #reqnums = new Map<string, number>()
  readonly #shares = new MemoryShares()
  #isClosed = false
  #pruning: NodeJS.Timeout

  constructor(limits: LedgerLimits) {
    this.#limits = limits
    this.#pruning = setTimeout(this.#prune, PRUNE_EVERY_MS).unref()
  }

  async unfinished(): Promise<UnfinishedJob[]> {
    this.#refuseIfClosed()
    return [...this.#unfinished].map((id) => {
      const entry = this.#jobs.get(id)!
      return { record: entry.record, bytes: sizeOf(entry) }
    })
  }

  async insert(jobs: readonly NewJob[], answer?: IdempotencyRecord): Promise<void> {
    this.#refuseIfClosed()
    const ids = new Set(jobs.map((job) => job.record.id))
    if (ids.size < jobs.length || [...ids].some((id) => this.#jobs.has(id))) throw new DuplicateJobError()
    for (const { record, request } of jobs) {
      const rowBytes = unfinishedBytes(record.containers, 0)
      const entry = { record, rowBytes, request: request && ownCopy(request), end: undefined }
      this.#jobs.set(record.id, entry)
      this.#arrivals.add(record.id)
      this.#unfinished.add(record.id)
      this.#shares.count(record.caller, sizeOf(entry))
      const ids = this.#idsOf.get(record.caller)
      if (ids) ids.add(record.id)
      else this.#idsOf.set(record.caller, new Set([record.id]))
    }
    if (answer) this.#keep(answer)
    this.#dropOverCap()
  }

  async startRun(id: string, run: JobRun, expected: number): Promise<boolean> {
    this.#refuseIfClosed()
    if (this.#jobs.get(id)?.record.runs !== expected) return false
    return this.#update(id, run)
  }

  async markLeft(id: string): Promise<void> {
    this.#refuseIfClosed()
    this.#update(id, { clientGone: true })
  }

  async finish(id: string, end: JobEnd): Promise<boolean> {
    this.#refuseIfClosed()
    const { result, intermediate } = end
    return this.#finish(id, end, piecesOf(result), intermediate && piecesOf(intermediate))
  }

  async receive(caller: string): Promise<ReceivedResult> {
    this.#refuseIfClosed()
    const received: Record<ResultPart, Buffer[]> = { result: [], intermediate: [] }
    let bytes = 0
    const drop = (): void => {
      this.#shares.count(caller, -bytes)
      bytes = 0
    }
    return {
      add: async (part, piece) => {
        this.#refuseIfClosed()
        received[part].push(ownCopy(piece))
        bytes += piece.length
        this.#shares.count(caller, piece.length)
        this.#dropOverCap()
      },
      finish: async (id, end) => {
        this.#refuseIfClosed()
        drop()
        const { result, intermediate } = received
        return this.#finish(id, end, result, intermediate.length > 0 ? intermediate : undefined)
      },
      drop,
    }
  }

  #finish(
    id: string,
    { state, finishedAt }: Pick<JobEnd, 'state' | 'finishedAt'>,
    result: readonly Buffer[],
    intermediate: readonly Buffer[] | undefined,
  ): boolean {
    const entry = this.#jobs.get(id)
    if (!entry || entry.end) return false
    const { caller } = entry.record
    this.#shares.count(caller, -sizeOf(entry))
    entry.request = undefined
    entry.end = { finishedAt, result, intermediate }
    entry.record = { ...entry.record, state, finishedAt }
    this.#shares.count(caller, sizeOf(entry))
    this.#shares.addFinished(caller, id)
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
    { withIntermediate = true, inlineBytes = PIECE_BYTES }: ReadOptions = {},
  ): Promise<JobStatus[]> {
    this.#refuseIfClosed()
    let left = inlineBytes
    const bytesOf = (id: string, part: ResultPart): Buffer | LongBytes | undefined => {
      const pieces = this.#jobs.get(id)?.end?.[part]
      if (!pieces) return undefined
      const length = lengthOf(pieces)
      if (length > left)
        return new LongBytes(length, async (index) => this.#jobs.get(id)?.end?.[part]?.[index], resultGone)
      left -= length
      return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)
    }
    const found = ids.map((id) => this.#entry(id)).filter((entry) => entry?.record.caller === caller)
    return found.map((entry) => {
      const { id, state, node } = entry!.record
      const result = bytesOf(id, 'result')
      const intermediate = withIntermediate ? bytesOf(id, 'intermediate') : undefined
      return { id, state, node, ...(result && { result }), ...(intermediate && { intermediate }) }
    })
  }

  async find(id: string): Promise<JobRecord | undefined> {
    this.#refuseIfClosed()
    return this.#entry(id)?.record
  }

  async browse(query: JobsQuery): Promise<JobsPage> {
    this.#refuseIfClosed()
    return this.#arrivals.browse(query, (id) => this.#entry(id)?.record)
  }

  async list(caller: string, filter: JobFilter): Promise<string[]> {
    this.#refuseIfClosed()
    return [...(this.#idsOf.get(caller) ?? [])].filter((id) => {
      const entry = this.#entry(id)
      return entry && (filter === 'all' || (filter === 'finished') === (entry.end !== undefined))
    })
  }

  async idempotencyRecord(caller: string, path: string, key: string): Promise<IdempotencyRecord | undefined> {
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
    return { writable: !this.#isClosed, keptBytes: this.#shares.bytes, jobs: this.#jobs.size, held: 0 }
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

  #isExpired(end: KeptEnd): boolean {
    return end.finishedAt <= steadyClock.expiryMs() - this.#limits.ttlMs
  }

  #update(id: string, change: Partial<JobRecord>): boolean {
    const entry = this.#jobs.get(id)
    if (!entry || entry.end) return false
    entry.record = { ...entry.record, ...change }
    return true
  }

  #keep(answer: IdempotencyRecord): void {
    const key = answerKey(answer)
    const earlier = this.#answers.get(key)
    if (earlier && earlier.createdAt > steadyClock.expiryMs() - KEPT_ANSWER_TTL_MS) return
    if (earlier) this.#dropAnswer(key, earlier)
    this.#answers.set(key, { ...answer, body: ownCopy(answer.body), bodyHash: ownCopy(answer.bodyHash) })
    this.#shares.count(answer.caller, answerBytes(answer))
    this.#shares.addAnswer(answer.caller, key)
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
    this.#arrivals.tidy((id) => this.#jobs.has(id), this.#jobs.size)
    const pauseMs = removed >= PRUNE_STEP ? 0 : PRUNE_EVERY_MS
    if (!this.#isClosed) this.#pruning = setTimeout(this.#prune, pauseMs).unref()
  }

  #dropOverCap(): number {
    let removed = 0
    while (this.#shares.bytes > this.#limits.maxBytes && removed < PRUNE_STEP) {
      const next = this.#shares.next
      if (!next) break
      if ('job' in next) this.#dropJob(next.job)
      else this.#dropAnswer(next.answer, this.#answers.get(next.answer)!)
      removed++
    }
    return removed
  }

  #dropJob(id: string): void {
    const entry = this.#jobs.get(id)!
    const { caller } = entry.record
    this.#jobs.delete(id)
    this.#finished.delete(id)
    const ids = this.#idsOf.get(caller)
    ids?.delete(id)
    if (ids?.size === 0) this.#idsOf.delete(caller)
    this.#shares.removeFinished(caller, id)
    this.#shares.count(caller, -sizeOf(entry))
  }

  #dropAnswer(key: string, answer: IdempotencyRecord): void {
    this.#answers.delete(key)
    this.#shares.removeAnswer(answer.caller, key)
    this.#shares.count(answer.caller, -answerBytes(answer))
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

/** Copies bytes into pieces of their own. */
function piecesOf(bytes: Buffer): Buffer[] {
  const pieces = [ownCopy(bytes.subarray(0, PIECE_BYTES))]
  for (let at = PIECE_BYTES; at < bytes.length; at += PIECE_BYTES) {
    pieces.push(ownCopy(bytes.subarray(at, at + PIECE_BYTES)))
  }
  return pieces
}

function lengthOf(pieces: readonly Buffer[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0)
}

function sizeOf({ rowBytes, request, end }: Entry): number {
  const endLength = end ? lengthOf(end.result) + lengthOf(end.intermediate ?? []) : 0
  return rowBytes + (request?.length ?? 0) + endLength
}

function answerKey({ caller, path, key }: Pick<IdempotencyRecord, 'caller' | 'path' | 'key'>): string {
  return `${caller}\n${path}\n${key}`
}
