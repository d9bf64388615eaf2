import type { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import { DuplicateJobError } from '../ledger.ts'
import { BackupServer } from './backup/server.ts'
import { writeCopy } from './backup/writeCopy.ts'
import { FileIdentity } from './fileIdentity.ts'
import { INVALID_CODES, openError, openFile, SQLITE, sqliteCode } from './file.ts'
import { logPathOf, SqliteLog } from './log.ts'
import { SqliteStore } from './store.ts'
import {
  FILE_GONE,
  type Failure,
  type FailureKind,
  type FromWorker,
  type Op,
  type OpenedMessage,
  type PackedBytes,
  type ReadOp,
  type StoreReport,
  type ToWorker,
  type WorkerSettings,
  type WriteOp,
} from './wire.ts'

// The thread that owns the database. It does one group of operations at a time, in the order in which groups come, and
// prunes in small steps between them.

const PRUNE_EVERY_MS = 1000
const PRUNE_STEP_ROWS = 200
/** A step removes row after row until this is over; a single large one may take longer. */
const PRUNE_STEP_MS = 4
const PRUNE_ROWS_AT_ONCE = 20

const READS: ReadonlySet<Op[0]> = new Set<ReadOp[0]>([
  ...(['unfinished', 'unfinishedSizes', 'request', 'read', 'piece', 'release', 'find', 'list', 'keptAnswer'] as const),
])

/** A file that SQLite would go on writing although nobody could find it again. */
class FileGoneError extends Error {
  constructor() {
    super(FILE_GONE)
  }
}

class LedgerWorker {
  readonly #store: SqliteStore
  readonly #log: SqliteLog
  readonly #identity: FileIdentity
  readonly backups: BackupServer
  readonly #maxBytes: number
  #isPruning = false
  /** The file, or its log, was deleted or replaced. If it comes back, everything that was acknowledged is in it. */
  #isGone = false
  #hasRoom = false
  #writeFailure: string | null = null
  #pruneFailure: string | null = null
  #commits = 0

  constructor(settings: WorkerSettings) {
    const { path } = settings
    const { db, store, log } = openStore(settings)
    this.#store = store
    this.#log = log
    this.#identity = new FileIdentity([path, logPathOf(path)])
    this.#maxBytes = settings.maxBytes
    const isGone = (): boolean => this.#isGone
    this.backups = new BackupServer({ path, log, isGone, writeCopy: (target) => writeCopy(db, target) })
    setInterval(() => this.#everySecond(), PRUNE_EVERY_MS).unref()
  }

  receive(message: ToWorker): void {
    if (message === 'close') {
      this.backups.close()
      this.#log.close()
      parentPort!.close()
    } else {
      this.#runGroup(...message)
    }
  }

  #runGroup(ops: Op[], packed: PackedBytes): void {
    const values = new Array<unknown>(ops.length)
    const failures: Failure[] = []
    const transfers: ArrayBuffer[] = []
    const attempt = (index: number, work: () => unknown): void => {
      try {
        values[index] = work()
      } catch (error) {
        failures.push([index, kindOf(error), (error as Error).message])
      }
    }
    const writes = [...ops.keys()].filter((index) => !READS.has(ops[index]![0]))
    const write = (index: number): void => {
      values[index] = this.#store.write(ops[index] as WriteOp, packed)
    }
    if (writes.length > 0) this.#looksGone()
    if (writes.length > 0 && !this.#commitTogether(() => writes.forEach(write))) {
      for (const index of writes) attempt(index, () => this.#commitAlone(ops[index] as WriteOp, packed))
    }
    ops.forEach((op, index) => {
      if (READS.has(op[0])) attempt(index, () => this.#store.read(op as ReadOp, transfers))
    })
    this.#tell([values, failures, this.#report()], transfers)
    if (writes.length > 0 && !this.#isGone) this.#log.checkpointIfLong()
    if (this.#store.keptBytes > this.#maxBytes) this.#prune()
  }

  #everySecond(): void {
    if (this.#looksGone()) this.#tell([null, [], this.#report()])
    this.#prune()
  }

  /** Looks whether the file is still in its place; true where it has just been found gone. */
  #looksGone(): boolean {
    const wasGone = this.#isGone
    this.#isGone = this.#identity.hasChanged
    if (this.#isGone) this.#writeFailure = FILE_GONE
    return this.#isGone && !wasGone
  }

  /** One commit for all writes of a group; false, and nothing written, if one of them fails. */
  #commitTogether(work: () => void): boolean {
    try {
      this.#commit(work)
      return true
    } catch {
      return false
    }
  }

  /** A transaction for one write, so that it fails without the others of its group. */
  #commitAlone(op: WriteOp, packed: PackedBytes): unknown {
    let value: unknown
    try {
      this.#commit(() => (value = this.#store.write(op, packed)))
      return value
    } catch (error) {
      if (kindOf(error) === 'store') this.#writeFailure = reasonOf(error)
      throw error
    }
  }

  #commit(work: () => void): void {
    if (this.#isGone) throw new FileGoneError()
    const showsRoom = this.#store.transaction(work)
    this.#hasRoom ||= showsRoom
    this.#commits++
  }

  #prune(): void {
    if (this.#isPruning || this.#isGone) return
    this.#isPruning = true
    setImmediate(this.#pruneStep)
  }

  /** Removes what is too old or too much, a little at a time; groups that wait go in between. */
  readonly #pruneStep = (): void => {
    const until = performance.now() + PRUNE_STEP_MS
    const hasTime = (): boolean => performance.now() < until
    let removed = 0
    let hasMore = false
    try {
      this.#store.transaction(() => {
        do {
          const count = this.#removeOldest(hasTime)
          removed += count
          hasMore = count > 0
        } while (hasMore && removed < PRUNE_STEP_ROWS && hasTime())
      })
      this.#pruneFailure = null
    } catch (error) {
      hasMore = false
      this.#pruneFailure = (error as Error).message
    }
    if (removed > 0 || this.#pruneFailure) this.#tell([null, [], this.#report()])
    if (hasMore) setImmediate(this.#pruneStep)
    else this.#isPruning = false
  }

  #removeOldest(hasTime: () => boolean): number {
    const store = this.#store
    // Leftovers and what is expired first: their bytes still count, and nothing else must go for them.
    return (
      store.removeLeftovers(PRUNE_ROWS_AT_ONCE, hasTime) ||
      store.removeExpiredJobs(PRUNE_ROWS_AT_ONCE, hasTime) ||
      store.removeExpiredAnswers(PRUNE_ROWS_AT_ONCE, hasTime) ||
      store.removeOverCap(PRUNE_ROWS_AT_ONCE, this.#maxBytes, hasTime)
    )
  }

  #report(): StoreReport {
    const { keptBytes, jobs } = this.#store
    const report: StoreReport = [keptBytes, jobs, this.#commits, this.#hasRoom, this.#writeFailure, this.#pruneFailure]
    this.#hasRoom = false
    this.#writeFailure = null
    return report
  }

  #tell(message: FromWorker, transfers: ArrayBuffer[] = []): void {
    parentPort!.postMessage(message, transfers)
  }
}

/** @throws LedgerOpenError */
function openStore({ path, maxPages, ttlMs }: WorkerSettings): {
  db: DatabaseSync
  store: SqliteStore
  log: SqliteLog
} {
  const db = openFile(path, maxPages)
  try {
    const store = new SqliteStore(db, ttlMs)
    const log = new SqliteLog(db, path)
    log.checkpoint()
    return { db, store, log }
  } catch (error) {
    db.close()
    throw openError(path, error)
  }
}

function kindOf(error: unknown): FailureKind {
  if (error instanceof DuplicateJobError) return 'duplicate'
  if (error instanceof FileGoneError) return 'store'
  const code = sqliteCode(error)
  return code === undefined || INVALID_CODES.has(code) ? 'invalid' : 'store'
}

/** Completes "The gateway cannot record jobs at the moment: …". */
function reasonOf(error: unknown): string {
  if (error instanceof FileGoneError) return error.message
  switch (sqliteCode(error)) {
    case SQLITE.FULL:
      return 'its disk is full'
    case SQLITE.READONLY:
      return 'its disk is read-only'
    case SQLITE.CORRUPT:
    case SQLITE.NOTADB:
      return 'its file is corrupt'
    default:
      return 'its disk reports an error'
  }
}

async function openAndServe(): Promise<void> {
  try {
    const worker = new LedgerWorker(workerData as WorkerSettings)
    const warning = (await worker.backups.listen()) ?? null
    parentPort!.on('message', (message: ToWorker) => worker.receive(message))
    parentPort!.postMessage({ refusal: null, warning } satisfies OpenedMessage)
  } catch (error) {
    parentPort!.postMessage({ refusal: (error as Error).message, warning: null } satisfies OpenedMessage)
  }
}

void openAndServe()
