import {
  PIECE_BYTES,
  unfinishedBytes,
  type JobRecord,
  type JobStatus,
  type Ledger,
  type NewJob,
  type ResultPart,
} from '../ledger.ts'
import { LongBytes } from '../longBytes.ts'
import type { PortableState } from '../portable.ts'
import { CopyStateError } from './errors.ts'

/** Requests that are in memory at once; results likewise. A single longer one is let through. */
const BYTES_AT_ONCE = 8 * PIECE_BYTES
/** Jobs that are written at once. */
const JOBS_AT_ONCE = 200

/** How often a ledger that cannot be written is looked at, ms, and how many such looks in a row are too many. */
const LOOK_MS = 1000
const PATIENCE_LOOKS = 10

/** A job that has ended, and how. */
interface Ended {
  readonly record: JobRecord
  readonly status: JobStatus
}

/** A page of jobs as the source has them; its results are read by the ledger, its requests by the portable state. */
export interface JobSource {
  readonly ledger: Ledger
  readonly state: PortableState
}

/** Copies jobs into a ledger, in the order in which they are given. */
export class JobCopier {
  readonly #source: JobSource
  readonly #target: Ledger

  constructor(source: JobSource, target: Ledger) {
    this.#source = source
    this.#target = target
  }

  /** @throws CopyStateError where a job cannot be copied whole */
  async copy(records: readonly JobRecord[]): Promise<void> {
    for (let at = 0; at < records.length; at += JOBS_AT_ONCE) {
      const some = records.slice(at, at + JOBS_AT_ONCE)
      await this.#insert(some)
      await this.#finish(some.filter(({ state }) => state !== 'running'))
    }
  }

  /** Records all as running; those that have ended get their end afterwards. */
  async #insert(records: readonly JobRecord[]): Promise<void> {
    let jobs: NewJob[] = []
    let bytes = 0
    for (const record of records) {
      const request = record.state === 'running' ? await this.#source.state.request(record.id) : undefined
      jobs.push(newJob(record, request))
      bytes += request?.length ?? 0
      if (bytes < BYTES_AT_ONCE) continue
      await this.#target.insert(jobs)
      jobs = []
      bytes = 0
    }
    if (jobs.length > 0) await this.#target.insert(jobs)
  }

  async #finish(records: readonly JobRecord[]): Promise<void> {
    for (const [caller, ofCaller] of Map.groupBy(records, ({ caller }) => caller)) {
      const ids = ofCaller.map(({ id }) => id)
      const found = await this.#source.ledger.read(caller, ids, { inlineBytes: BYTES_AT_ONCE })
      const statuses = new Map(found.map((status) => [status.id, status]))
      const short: Promise<void>[] = []
      for (const record of ofCaller) {
        const status = statuses.get(record.id)
        if (!status) throw new CopyStateError(`the result of job ${record.id} is missing`)
        if (isLong(status)) await this.#finishLong({ record, status })
        else short.push(this.#finishShort({ record, status }))
      }
      await whileWritable(this.#target, Promise.all(short))
    }
  }

  async #finishShort({ record, status }: Ended): Promise<void> {
    const { id } = record
    const { result, intermediate } = status as { result?: Buffer; intermediate?: Buffer }
    mustBeFirst(
      id,
      await this.#target.finish(id, { ...endOf(record), result: result ?? Buffer.alloc(0), intermediate }),
    )
  }

  /** In pieces, so that no long result is in memory as a whole. */
  async #finishLong({ record, status }: Ended): Promise<void> {
    const { id, caller } = record
    const received = await this.#target.receive(caller)
    try {
      for (const part of ['result', 'intermediate'] as const satisfies readonly ResultPart[]) {
        const bytes = status[part]
        if (bytes) for await (const piece of piecesOf(bytes)) await received.add(part, piece)
      }
      const isWritable = (): boolean => this.#target.health().writable
      mustBeFirst(id, await received.finish(id, endOf(record), isWritable))
    } finally {
      received.drop()
    }
  }
}

/**
 * What was done, unless the ledger cannot be written for a while: it holds changes then, for a gateway that goes on, and settles
 * when they are written.
 */
async function whileWritable(ledger: Ledger, done: Promise<unknown>): Promise<void> {
  const { promise: isOver, reject } = Promise.withResolvers<never>()
  let unwritableLooks = 0
  const look = setInterval(() => {
    const { writable, reason } = ledger.health()
    unwritableLooks = writable ? 0 : unwritableLooks + 1
    if (unwritableLooks >= PATIENCE_LOOKS) reject(new CopyStateError(`the target cannot be written: ${reason}`))
  }, LOOK_MS)
  try {
    await Promise.race([done, isOver])
  } finally {
    clearInterval(look)
  }
}

function newJob({ finishedAt: _finishedAt, ...record }: JobRecord, request: Buffer | undefined): NewJob {
  const room = unfinishedBytes(record.containers, request?.length ?? 0)
  return { record: { ...record, state: 'running' }, request, room }
}

function endOf({ id, state, finishedAt }: JobRecord): { state: 'success' | 'failed'; finishedAt: number } {
  if (state === 'running' || finishedAt === undefined) throw new CopyStateError(`job ${id} has no end`)
  return { state, finishedAt }
}

function mustBeFirst(id: string, isFirst: boolean): void {
  if (!isFirst) throw new CopyStateError(`the end of job ${id} could not be written`)
}

function isLong({ result, intermediate }: JobStatus): boolean {
  return result instanceof LongBytes || intermediate instanceof LongBytes
}

/** At least one piece, also of nothing: no intermediate results are not the same as empty ones. */
async function* piecesOf(bytes: Buffer | LongBytes): AsyncGenerator<Buffer> {
  if (bytes instanceof LongBytes && bytes.length > 0) {
    yield* bytes.pieces()
    return
  }
  if (bytes instanceof LongBytes) bytes = Buffer.alloc(0)
  let at = 0
  do yield bytes.subarray(at, at + PIECE_BYTES)
  while ((at += PIECE_BYTES) < bytes.length)
}
