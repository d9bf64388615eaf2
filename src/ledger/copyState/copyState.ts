import type { Logger } from '../../base/logger.ts'
import { GatewayFault } from '../../faults.ts'
import { LedgerOpenError } from '../ledger.ts'
import { stateOf } from '../open.ts'
import { JobCopier } from './copyJobs.ts'
import { copyUsage } from './copyUsage.ts'
import { CopyStateError } from './errors.ts'
import type { CopySource, CopyTarget } from './places.ts'
import { openRedisSource, openRedisTarget } from './redisPlaces.ts'
import { openSqliteSource, openSqliteTarget } from './sqlitePlaces.ts'

/** What was copied. */
export interface Copied {
  readonly jobs: number
  /** Of these, such as have no final state. */
  readonly unfinished: number
  readonly answers: number
  /** Workers whose tickets are numbered. */
  readonly reqnums: number
  readonly hasTicketKey: boolean
}

export interface CopyStateOptions {
  /** STATE_URLs. */
  readonly from: string
  readonly to: string
  /** After this time without a sign of life a gateway counts as dead, seconds. */
  readonly replicaTimeoutSeconds: number
  readonly logger: Logger
  /** Called once a second while jobs are copied. */
  readonly onProgress?: (copied: number, of: number) => void
}

/**
 * Copies all that a STATE_URL names to another, empty place: jobs with their requests and results, answers under an
 * Idempotency-Key, numbers of tickets, the key that signs them, and usage. No gateway may use either.
 *
 * @throws CopyStateError, LedgerOpenError
 */
export async function copyState({ from, to, onProgress = () => {}, ...options }: CopyStateOptions): Promise<Copied> {
  const source = await openSource(from, options)
  try {
    const target = await openTarget(to, options)
    try {
      const copied = await copyAll(source, target, onProgress)
      await target.complete()
      return copied
    } catch (error) {
      const advice = await target.giveUp()
      throw failureOf(error, advice)
    }
  } finally {
    await source.close()
  }
}

/** One line for the operator. */
export function summaryOf({ jobs, unfinished, answers, reqnums, hasTicketKey }: Copied): string {
  const key = hasTicketKey ? 'the ticket key' : 'no ticket key'
  return `copied ${jobs} jobs (${unfinished} unfinished), ${answers} answers, the ticket numbers of ${reqnums} workers, ${key}`
}

/** Pages are short: progress is reported at most this often. */
const PROGRESS_EVERY_MS = 1000

type PlaceOptions = Pick<CopyStateOptions, 'replicaTimeoutSeconds' | 'logger'>

function openSource(url: string, { replicaTimeoutSeconds, logger }: PlaceOptions): Promise<CopySource> {
  const state = stateOf(url)
  if (state.kind === 'sqlite') return openSqliteSource(state.file, logger)
  if (state.kind === 'redis') {
    return openRedisSource({ url: state, replicaTimeoutMs: replicaTimeoutSeconds * 1000, logger })
  }
  throw new CopyStateError('memory: ends with its gateway: there is nothing to copy')
}

function openTarget(url: string, { replicaTimeoutSeconds, logger }: PlaceOptions): Promise<CopyTarget> {
  const state = stateOf(url)
  if (state.kind === 'sqlite') return openSqliteTarget(state.file, logger)
  if (state.kind === 'redis') {
    return openRedisTarget({ url: state, replicaTimeoutMs: replicaTimeoutSeconds * 1000, logger })
  }
  throw new CopyStateError('memory: ends with its gateway: nothing can be copied to it')
}

async function copyAll(
  source: CopySource,
  target: CopyTarget,
  onProgress: (copied: number, of: number) => void,
): Promise<Copied> {
  const counts = { jobs: 0, unfinished: 0, answers: 0, reqnums: 0 }
  // The key first: another one in its place is noticed before hours are spent.
  const ticketKey = await source.ticketKey()
  if (ticketKey !== undefined) await target.setTicketKey(ticketKey)
  for await (const reqnums of source.state.reqnums()) {
    await target.state.setReqnums(reqnums)
    counts.reqnums += reqnums.length
  }
  for (const name of await source.ledger.values.names()) {
    const value = await source.ledger.values.get(name)
    if (value) await target.ledger.values.set(name, value)
  }
  await copyUsage(source.ledger.usage, target.ledger.usage)
  const all = source.ledger.health().jobs
  let nextReportAt = performance.now() + PROGRESS_EVERY_MS
  const copier = new JobCopier(source, target.ledger)
  for await (const records of source.state.jobs()) {
    await copier.copy(records)
    refuseHeld(target)
    counts.jobs += records.length
    counts.unfinished += records.filter(({ state }) => state === 'running').length
    if (performance.now() < nextReportAt) continue
    nextReportAt = performance.now() + PROGRESS_EVERY_MS
    onProgress(counts.jobs, all)
  }
  for await (const answers of source.state.answers()) {
    for (const answer of answers) await target.ledger.insert([], answer)
    counts.answers += answers.length
  }
  refuseHeld(target)
  return { ...counts, hasTicketKey: ticketKey !== undefined }
}

/** A ledger holds ends that it cannot write, for a gateway that goes on; here they would be lost. */
function refuseHeld({ ledger }: CopyTarget): void {
  const { writable, held, reason } = ledger.health()
  if (!writable || held > 0) throw new CopyStateError(`the target cannot be written: ${reason ?? 'it is busy'}`)
}

function failureOf(error: unknown, advice: string | undefined): Error {
  const isForOperators =
    error instanceof CopyStateError || error instanceof LedgerOpenError || error instanceof GatewayFault
  const message = isForOperators ? error.message : `the copy failed: ${(error as Error).message}`
  return new CopyStateError(advice === undefined ? message : `${message}; ${advice}`, { cause: error })
}
