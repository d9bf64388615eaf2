import { GatewayFault } from '../faults.ts'
import type { Coordination } from '../replicas/index.ts'
import type { KeptValues } from './keptValues.ts'
import type { LongBytes } from './longBytes.ts'
import type { UsageStore } from './usage/usage.ts'

export type JobState = 'running' | 'success' | 'failed'
/** `stream` jobs answer through their connection first; they are never run again. */
export type JobKind = 'job' | 'stream'

/** Where a job runs at present. Times here and below are epoch milliseconds. */
export interface JobRun {
  /** The node's key in the fleet. */
  readonly node: string
  /** The id under which that node knows the job. */
  readonly nodeJobId: string
  /** The gateway's own address on the socket to that node: nodes know jobs by it. */
  readonly localAddress: string
  /** How many times the job was started, this run included. */
  readonly runs: number
  readonly runStartedAt: number
}

/** What is kept of a job besides its request and its result. */
export interface JobRecord extends JobRun {
  /** The id that the client knows. */
  readonly id: string
  readonly caller: string
  readonly clientAddress: string
  readonly kind: JobKind
  readonly containers: readonly string[]
  readonly createdAt: number
  readonly state: JobState
  readonly finishedAt?: number
  /** Whether the job may be run again elsewhere. */
  readonly failover: boolean
  readonly cost?: number | undefined
  /** A stream whose client left before its end. */
  readonly clientGone?: boolean
}

/** A job to record; `request` is kept until the job ends, for another run. */
export interface NewJob {
  readonly record: JobRecord
  readonly request?: Buffer | undefined
  /** The bytes that were taken for it (`SharedRoom`), which the end of the job gives back; 0 where nothing is said. */
  readonly room?: number
}

export interface UnfinishedJob {
  readonly record: JobRecord
  /** What it keeps, as `unfinishedBytes` counts it. */
  readonly bytes: number
}

/** How a job ended. The bytes are JSON and are never looked into. */
export interface JobEnd {
  readonly state: 'success' | 'failed'
  readonly finishedAt: number
  readonly result: Buffer
  readonly intermediate?: Buffer | undefined
}

/** What a caller may hear of a job; the bytes are those that it ended with. */
export interface JobStatus {
  readonly id: string
  readonly state: JobState
  readonly node: string
  readonly result?: Buffer | LongBytes
  readonly intermediate?: Buffer | LongBytes
}

export type ResultPart = 'result' | 'intermediate'

/**
 * A result that is written while it arrives. Nobody sees it until `finish`; what is neither finished nor dropped when
 * the process ends is removed at the next start. Its bytes count among the kept ones.
 */
export interface ReceivedResult {
  /**
   * Adds the next bytes of a part, at most PIECE_BYTES; to be awaited, so that no more is in memory than that. The first
   * part is complete when the first bytes of the other are added.
   */
  add(part: ResultPart, bytes: Buffer): Promise<void>
  /**
   * Ends the job with what was added, like `Ledger.finish`. While the store cannot be written it waits, and gives up with
   * false where `isWanted` says at a later attempt that the job has no need of it any more.
   */
  finish(id: string, end: Pick<JobEnd, 'state' | 'finishedAt'>, isWanted?: () => boolean): Promise<boolean>
  /** Gives it up. After `finish` it has no effect. */
  drop(): void
}

/** The first accepted answer to a request with an Idempotency-Key; it stands for a day. */
export interface IdempotencyRecord {
  readonly caller: string
  readonly path: string
  readonly key: string
  readonly bodyHash: Buffer
  readonly status: number
  readonly contentType: string
  readonly body: Buffer
  readonly node?: string
  readonly createdAt: number
}

export interface LedgerHealth {
  /** Whether the last attempt to write something succeeded. While false only a new job or a probe shows the opposite. */
  readonly writable: boolean
  /** Why not, for people. */
  readonly reason?: string
  /** Requests, lists of containers, results and answers, with a flat amount for each row that holds them. */
  readonly keptBytes: number
  /** Jobs known, finished or not. */
  readonly jobs: number
  /** Jobs whose latest change waits in memory for the disk to heal. */
  readonly held: number
}

export type JobFilter = 'pending' | 'finished' | 'all'

/** Which jobs an operator wants to see; what is left out does not matter. */
export interface JobsQuery {
  readonly state?: JobState | undefined
  readonly caller?: string | undefined
  /** The key of the node at which it runs, or ran last. */
  readonly node?: string | undefined
  /** One of its containers. */
  readonly container?: string | undefined
  /** `next` of the page before. */
  readonly after?: string | undefined
  /** At least 1. */
  readonly limit: number
}

/**
 * Jobs that fit, newest first. In Redis, where no caller is asked for, those that run come first, in no order, then those that have
 * ended, the latest first.
 */
export interface JobsPage {
  readonly jobs: readonly JobRecord[]
  /** Where the next page begins; undefined where this is the last. A page may have few jobs, or none, and not be the last. */
  readonly next: string | undefined
}

/**
 * Where jobs are kept. A job is in it, durably, before its client hears of it.
 *
 * While the store cannot be written, `insert` and `nextReqnum` reject with a GatewayFault ERR_LEDGER. Changes to jobs
 * that run already are held in memory instead, seen by all reads, and written when that is possible again; where too much
 * is held they settle only when they are written. The changes of one job are written in the order in which they were
 * asked for. Whatever cannot be read, and everything after `close`, rejects with ERR_LEDGER. A finished job older than
 * the time to live does not exist, pruned or not. Bytes that are handed in must not change until the promise settles.
 */
export interface Ledger {
  /** The same ledger where several gateways share it; `undefined` where it is this one's alone. */
  readonly shared: SharedLedger | undefined
  /** Small values that are kept beside the jobs. */
  readonly values: KeptValues
  /** What callers used, by model and day. */
  readonly usage: UsageStore
  /** Every job without a final state, in no particular order. */
  unfinished(): Promise<UnfinishedJob[]>
  /**
   * Records jobs, and the answer to give if their request comes again; resolves when all of it is durable. An earlier
   * answer under the same key that is still valid stands.
   *
   * @throws DuplicateJobError if an id is taken; then nothing of it is recorded
   */
  insert(jobs: readonly NewJob[], answer?: IdempotencyRecord): Promise<void>
  /**
   * Notes where an unfinished job runs now, if it was in its run number `expected` until then. False, and nothing is
   * noted, if it was in another one, or is finished or unknown: the run is not the job's.
   */
  startRun(id: string, run: JobRun, expected: number): Promise<boolean>
  /** Notes that the client of an unfinished stream has left. */
  markLeft(id: string): Promise<void>
  /** Gives a job its final state and drops its request. The first final state stands: false if there was one, or no job. */
  finish(id: string, end: JobEnd): Promise<boolean>
  /**
   * Begins a result that is too long for `finish`; it rejects with ERR_LEDGER while it cannot be written, as do its own
   * calls.
   */
  receive(caller: string): Promise<ReceivedResult>
  /** The request of an unfinished job, if one was recorded. */
  request(id: string): Promise<Buffer | undefined>
  /** Those of the ids that are this caller's jobs. */
  read(caller: string, ids: readonly string[], options?: ReadOptions): Promise<JobStatus[]>
  /** A job, whosever it is. */
  find(id: string): Promise<JobRecord | undefined>
  /** Jobs of all callers, for operators, a page at a time. */
  browse(query: JobsQuery): Promise<JobsPage>
  /** Ids of this caller's jobs, oldest first. */
  list(caller: string, filter: JobFilter): Promise<string[]>
  idempotencyRecord(caller: string, path: string, key: string): Promise<IdempotencyRecord | undefined>
  /** A number that grows by one for each worker address, from 1, never given twice. */
  nextReqnum(worker: string): Promise<number>
  health(): LedgerHealth
  /** Tries a small write, so that a healed store is noticed; true if it succeeded. */
  probe(): Promise<boolean>
  /** Writes what is outstanding and lets go of the store; all calls reject from then on. */
  close(): Promise<void>
}

/**
 * A ledger that several gateways (replicas) share. An unfinished job belongs to the replica that took or claimed it: `startRun`,
 * `markLeft`, `finish`, `note` and `request` do nothing for another's job, and answer false or nothing; `membership` tells of it
 * as `disowned`. `unfinished` is this replica's own jobs. What `find`, `list` and `read` tell is what the store has: a change
 * that is held is not told to anybody.
 */
export interface SharedLedger extends Ledger {
  readonly coordination: Coordination
  /**
   * Makes unfinished jobs of another replica, or of our former self, ours; returns those that were won. Atomic: of two who
   * claim one job, one wins it.
   */
  claim(from: string, ids: readonly string[]): Promise<ReadonlySet<string>>
  /** Unfinished jobs in the name of a replica. */
  ownedBy(replica: string): Promise<UnfinishedJob[]>
  /** The replica in whose name an unfinished job is. */
  ownerOf(id: string): Promise<string | undefined>
  /** Notes intermediate results of a running job, for the others to tell. Best effort: what cannot be written is dropped. */
  note(id: string, intermediate: Buffer): Promise<void>
}

export interface ReadOptions {
  /** Whether intermediate results are wanted; true where nothing is said. */
  readonly withIntermediate?: boolean
  /** Results that together are longer come as LongBytes; PIECE_BYTES where nothing is said. */
  readonly inlineBytes?: number
}

/** How long and how much a ledger keeps. */
export interface LedgerLimits {
  /**
   * Cap on kept bytes. The caller who keeps most gives way first, its oldest finished jobs before its oldest answers;
   * unfinished jobs never go. Callers of one IPv6 network count as one.
   */
  readonly maxBytes: number
  /** How long a finished job can still be asked for. */
  readonly ttlMs: number
}

/** Longer results are kept in pieces of this length, so that none has to be in memory as a whole. */
export const PIECE_BYTES = 1024 * 1024

/** How long the answer under an Idempotency-Key stands. */
export const KEPT_ANSWER_TTL_MS = 24 * 60 * 60 * 1000

/** What a job's row and its index entries take besides request, containers and result (measured: 270 bytes in SQLite). */
export const JOB_OVERHEAD_BYTES = 300
/** The same for an idempotency record. */
export const ANSWER_OVERHEAD_BYTES = 300

/** What an unfinished job keeps. */
export function unfinishedBytes(containers: readonly string[], requestLength: number): number {
  // A job may list one container many thousand times.
  return JOB_OVERHEAD_BYTES + Buffer.byteLength(JSON.stringify(containers)) + requestLength
}

/** What an idempotency record keeps, with all that finds it again. */
export function answerBytes(
  answer: Pick<IdempotencyRecord, 'caller' | 'path' | 'key' | 'contentType'> & {
    readonly node?: string | null
    readonly bodyHash: Uint8Array
    readonly body: Uint8Array
  },
): number {
  const { caller, path, key, contentType, node, bodyHash, body } = answer
  const texts = [caller, path, key, contentType, node ?? ''].reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  return ANSWER_OVERHEAD_BYTES + texts + bodyHash.length + body.length
}

/** An id that is taken already. */
export class DuplicateJobError extends Error {
  override readonly name = 'DuplicateJobError'
  readonly code = 'ERR_DUPLICATE'

  constructor() {
    super('A job with this id is recorded already')
  }
}

/** A store that cannot be used at all: the gateway must not start. The message is one line for its operator. */
export class LedgerOpenError extends Error {
  override readonly name = 'LedgerOpenError'
  readonly code = 'ERR_LEDGER_OPEN'
}

/** The fault that clients see while jobs cannot be recorded; `reason` says why, for people. */
export function ledgerFault(reason: string, cause?: unknown): GatewayFault {
  return new GatewayFault('ERR_LEDGER', `The gateway cannot record jobs at the moment: ${reason}`, {
    headers: { 'Retry-After': '5' },
    cause,
  })
}

/** The error of a result that was removed, by age or by the cap, while it was read. */
export function resultGone(): GatewayFault {
  return new GatewayFault('ERR_LEDGER', 'The result was removed while it was read', { headers: { 'Retry-After': '1' } })
}
