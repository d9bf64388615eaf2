import type { DatabaseSync } from 'node:sqlite'
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { DuplicateJobError } from '../ledger.ts'
import { bytesIn, pack, unpack } from '../packedBytes.ts'
import { BackupServer } from './backup/server.ts'
import { writeCopy } from './backup/writeCopy.ts'
import { FileIdentity } from './fileIdentity.ts'
import { INVALID_CODES, openError, openFile, SQLITE, sqliteCode } from './file.ts'
import { logPathOf, SqliteLog } from './log.ts'
import { OPERATIONS, type Operation } from './operations.ts'
import { Pruner } from './pruner.ts'
import { SqliteStore } from './store.ts'
import {
  FILE_GONE,
  type Call,
  type Failure,
  type FailureKind,
  type FromWorker,
  type OpenedMessage,
  type StoreReport,
  type ToWorker,
  type WorkerSettings,
} from './wire.ts'

// The thread that owns the database. It does one group of writes at a time, in the order in which they come; reads and small
// steps of pruning go in between.

/** How long writes of a group go on before they make way for reads that came meanwhile. */
const LOOK_FOR_READS_MS = 2

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
  /** Reads that came while a group of writes was under way. */
  readonly #waitingReads: ToWorker[] = []
  #lookForReadsAt = 0

  constructor(settings: WorkerSettings) {
    const { path } = settings
    const { db, store, log } = openStore(settings)
    this.#store = store
    this.#log = log
    this.#identity = new FileIdentity([path, logPathOf(path)])
    this.#maxBytes = settings.maxBytes
    const isGone = this.#hasGone
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
      const [lane, calls] = unpack(message)
      const group = new CallGroup(calls, this.#store)
      if (lane === 'reads') {
        for (const index of calls.keys()) group.attempt(index)
        this.#tell(['reads', group.values, group.failures, null])
      } else {
        this.#runWrites(group)
      }
    }
  }

  /** Writes first, in one commit if that is possible; reads in turn see what they have left. */
  #runWrites(group: CallGroup): void {
    const { writes, reads } = group
    if (writes.length > 0) this.#looksGone()
    for (let next = 0; next < writes.length;) {
      const start = next
      this.#lookForReadsAt = performance.now() + LOOK_FOR_READS_MS
      const isCommitted = this.#commitTogether(() => {
        do group.run(writes[next++]!)
        while (next < writes.length && !this.#hasWaitingReads())
      })
      if (!isCommitted) {
        // A transaction that could not even begin has tried none of them.
        next = Math.max(next, start + 1)
        for (const index of writes.slice(start, next)) group.attempt(index, (run) => this.#commitAlone(run))
      }
      for (const message of this.#waitingReads.splice(0)) this.receive(message)
    }
    for (const index of reads) group.attempt(index)
    this.#tell(['writes', group.values, group.failures, this.#report()])
    if (writes.length > 0 && !this.#isGone) this.#log.checkpointIfLong(this.#hasGone)
    if (this.#store.kept.bytes > this.#maxBytes) this.#pruner.prune()
  }

  /** Whether reads came since the group began: while writes are under way nothing else comes. */
  #hasWaitingReads(): boolean {
    const now = performance.now()
    if (now < this.#lookForReadsAt) return false
    this.#lookForReadsAt = now + LOOK_FOR_READS_MS
    const received = receiveMessageOnPort(parentPort!)
    if (received) this.#waitingReads.push(received.message as ToWorker)
    return received !== undefined
  }

  readonly #hasGone = (): boolean => this.#isGone

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
    this.#tell([null, [], [], this.#report()])
  }

  #report(): StoreReport {
    const { bytes, jobs } = this.#store.kept
    const { failure } = this.#pruner
    const removed = this.#store.retention.takeRemoved()
    const report: StoreReport = [bytes, jobs, this.#commits, this.#hasRoom, this.#writeFailure, failure, removed]
    this.#hasRoom = false
    this.#writeFailure = null
    return report
  }

  #tell(message: FromWorker): void {
    const packed = pack(message, bytesIn(message))
    parentPort!.postMessage(packed, [packed[1]])
  }
}

/** Calls that came in one message, and what has become of them. */
class CallGroup {
  readonly values: unknown[]
  readonly failures: Failure[] = []
  readonly #calls: readonly Call[]
  readonly #store: AnyMethods

  constructor(calls: readonly Call[], store: SqliteStore) {
    this.#calls = calls
    this.#store = store as unknown as AnyMethods
    this.values = new Array<unknown>(calls.length).fill(null)
  }

  /** The places of calls that write. */
  get writes(): number[] {
    return this.#places((isWrite) => isWrite)
  }

  /** The places of all other calls. */
  get reads(): number[] {
    return this.#places((isWrite) => !isWrite)
  }

  run(index: number): void {
    const [name, ...args] = this.#calls[index]!
    this.values[index] = this.#store[name](...args) ?? null
  }

  /** Runs a call, within `frame`, and notes where it fails. */
  attempt(index: number, frame: (run: () => void) => void = (run) => run()): void {
    try {
      frame(() => this.run(index))
    } catch (error) {
      this.failures.push([index, kindOf(error), (error as Error).message])
    }
  }

  #places(isWanted: (isWrite: boolean) => boolean): number[] {
    const places: number[] = []
    this.#calls.forEach(([name], index) => {
      if (isWanted(OPERATIONS[name] === 'write')) places.push(index)
    })
    return places
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
