import type { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import { DuplicateJobError } from '../ledger.ts'
import { BackupServer } from './backup/server.ts'
import { writeCopy } from './backup/writeCopy.ts'
import { FileIdentity } from './fileIdentity.ts'
import { INVALID_CODES, openError, openFile, SQLITE, sqliteCode } from './file.ts'
import { logPathOf, SqliteLog } from './log.ts'
import { Pruner } from './pruner.ts'
import { OPERATIONS, SqliteStore, type Operation } from './store.ts'
import {
  bytesIn,
  FILE_GONE,
  pack,
  type Call,
  type Failure,
  type FailureKind,
  type FromWorker,
  type OpenedMessage,
  type StoreReport,
  type ToWorker,
  type WorkerSettings,
  unpack,
} from './wire.ts'

// The thread that owns the database. It does one group of operations at a time, in the order in which groups come, and
// small steps of pruning go in between.

type AnyMethods = Record<Operation, (...args: unknown[]) => unknown>

/** A file that SQLite would go on writing although nobody could find it again. */
class FileGoneError extends Error {
  constructor() {
    super(FILE_GONE)
  }
}

class LedgerWorker {
  readonly #store: SqliteStore
  readonly #log: SqliteLog
  readonly #pruner: Pruner
  readonly #identity: FileIdentity
  readonly backups: BackupServer
  readonly #maxBytes: number
  /** The file, or its log, was deleted or replaced. If it comes back, everything that was acknowledged is in it. */
  #isGone = false
  #hasRoom = false
  #writeFailure: string | null = null
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
    this.#pruner = new Pruner(store, { isGone, onStep: () => this.#tellReport() })
    setInterval(() => this.#everySecond(), 1000).unref()
  }

  receive(message: ToWorker): void {
    if (message === 'close') {
      this.backups.close()
      this.#log.close()
      parentPort!.close()
    } else {
      this.#runGroup(unpack(message))
    }
  }

  /** Writes first, in one commit if that is possible; reads see what they have left. */
  #runGroup(calls: Call[]): void {
    const values = new Array<unknown>(calls.length).fill(null)
    const failures: Failure[] = []
    const run = (index: number): void => {
      const [name, ...args] = calls[index]!
      values[index] = (this.#store as unknown as AnyMethods)[name](...args) ?? null
    }
    const attempt = (index: number, work: (index: number) => void): void => {
      try {
        work(index)
      } catch (error) {
        failures.push([index, kindOf(error), (error as Error).message])
      }
    }
    const writes: number[] = []
    const reads: number[] = []
    calls.forEach(([name], index) => (OPERATIONS[name] === 'write' ? writes : reads).push(index))
    if (writes.length > 0) this.#looksGone()
    if (writes.length > 0 && !this.#commitTogether(() => writes.forEach(run))) {
      for (const index of writes) attempt(index, () => this.#commitAlone(() => run(index)))
    }
    for (const index of reads) attempt(index, run)
    this.#tell([values, failures, this.#report()])
    if (writes.length > 0 && !this.#isGone) this.#log.checkpointIfLong()
    if (this.#store.kept.bytes > this.#maxBytes) this.#pruner.prune()
  }

  #everySecond(): void {
    if (this.#looksGone()) this.#tellReport()
    this.#pruner.prune()
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
  #commitAlone(work: () => void): void {
    try {
      this.#commit(work)
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

  #tellReport(): void {
    this.#tell([null, [], this.#report()])
  }

  #report(): StoreReport {
    const { bytes, jobs } = this.#store.kept
    const { failure } = this.#pruner
    const report: StoreReport = [bytes, jobs, this.#commits, this.#hasRoom, this.#writeFailure, failure]
    this.#hasRoom = false
    this.#writeFailure = null
    return report
  }

  #tell(message: FromWorker): void {
    const packed = pack(message, bytesIn(message))
    parentPort!.postMessage(packed, [packed[1]])
  }
}

/** @throws LedgerOpenError */
function openStore(settings: WorkerSettings): {
  db: DatabaseSync
  store: SqliteStore
  log: SqliteLog
} {
  const { path } = settings
  const db = openFile(path, settings.maxPages)
  try {
    const store = new SqliteStore(db, settings)
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
