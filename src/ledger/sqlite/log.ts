import { closeSync, openSync, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import type { DatabaseSync } from 'node:sqlite'
import { LedgerOpenError } from '../ledger.ts'

/**
 * A log of this size is copied into the main file. Nothing else is done meanwhile, mostly because the disk is waited for: with 64 or
 * 16 MB one commit in fifty waited 100 ms and more where 2,000 jobs came a second, with 4 MB 20 ms. With less, pages that
 * change all the time are copied more often.
 */
const CHECKPOINT_BYTES = 4 * 1024 * 1024
/** After a failure the log is not copied again before this time is over. */
const RETRY_AFTER_MS = 1000

/** The schema's version from which a file has the table `log_marks`. */
const FIRST_VERSION_WITH_MARKS = 3
/** And from which it says there which file it is. */
const FIRST_VERSION_WITH_IDENTITY = 5

/** Where SQLite keeps the write-ahead log of a file. */
export function logPathOf(path: string): string {
  return `${path}-wal`
}

/**
 * Refuses a main file whose log is missing although it held jobs. A log that is there, even an empty one, is never
 * missing: a killed gateway leaves its log, and a clean stop removes it after the file is complete.
 *
 * @throws LedgerOpenError
 */
export function refuseMissingLog(db: DatabaseSync, path: string): void {
  const [version] = valuesOf(db, 'PRAGMA user_version')
  if (Number(version) < FIRST_VERSION_WITH_MARKS) {
    // Older gateways wrote the first tables to the log. Later on a missing log of theirs leaves no trace.
    const [tables] = valuesOf(db, 'SELECT count(*) FROM sqlite_schema')
    const [mode] = valuesOf(db, 'PRAGMA journal_mode')
    if (tables === 0 && mode === 'wal') throw missingLog(path)
    return
  }
  if (!areMarksEqual(db)) throw missingLog(path)
}

/**
 * Makes the file count as complete: for a copy, or before the log of a killed gateway is copied into its file. `seen` stays:
 * it must never be ahead of what is in the file already.
 */
export function setMarksEqual(db: DatabaseSync): void {
  const [version] = valuesOf(db, 'PRAGMA user_version')
  if (Number(version) < FIRST_VERSION_WITH_MARKS || areMarksEqual(db)) return
  db.exec('UPDATE log_marks SET expected = seen')
}

/** Makes a copy a file of its own, so that the log of the file it was taken from is refused beside it. */
export function giveIdentity(db: DatabaseSync): void {
  const [version] = valuesOf(db, 'PRAGMA user_version')
  if (Number(version) >= FIRST_VERSION_WITH_IDENTITY) db.exec('UPDATE log_marks SET file = randomblob(16)')
}

/** The write-ahead log of an open ledger. It is copied into the main file here and nowhere else, so that the marks hold. */
export class SqliteLog {
  readonly #db: DatabaseSync
  readonly #path: string
  #isHeld = false
  #isSyncing = false
  /** On the clock of `performance.now`. */
  #notBefore = 0

  constructor(db: DatabaseSync, path: string) {
    this.#db = db
    this.#path = path
    // A log that starts anew is cut to what it holds, so that its size on disk tells how much that is.
    db.exec('PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 0')
  }

  /** Bytes in the log; 0 where it cannot be seen. */
  get bytes(): number {
    return statSync(logPathOf(this.#path), { throwIfNoEntry: false })?.size ?? 0
  }

  /**
   * Copies the log into the main file if it has grown enough, in a later turn and unless `isGone` then. Most of the log is made
   * durable before that, beside the thread: otherwise everything would wait for it.
   */
  checkpointIfLong(isGone: () => boolean): void {
    if (this.#isSyncing || this.#isHeld || performance.now() < this.#notBefore || this.bytes < CHECKPOINT_BYTES) return
    this.#isSyncing = true
    void this.#sync().then(() => {
      this.#isSyncing = false
      if (this.#isHeld || isGone() || !this.#db.isOpen) return
      if (!this.checkpoint()) this.#notBefore = performance.now() + RETRY_AFTER_MS
    })
  }

  /**
   * Copies the log into the main file, durably; false where that is not possible now, as on a full disk. Afterwards the
   * file is complete but for the mark that says so.
   */
  checkpoint(): boolean {
    try {
      this.#db.exec('UPDATE log_marks SET expected = expected + 1')
      const [busy, frames, copied] = valuesOf(this.#db, 'PRAGMA wal_checkpoint(PASSIVE)')
      if (busy !== 0 || frames !== copied) return false
      this.#db.exec('UPDATE log_marks SET seen = expected')
      return true
    } catch {
      // Nothing is lost: it is all in the log. The next write tells what is wrong.
      return false
    }
  }

  /** What cannot be made durable here, SQLite itself tries again. */
  async #sync(): Promise<void> {
    try {
      const log = await open(logPathOf(this.#path))
      await log.sync().finally(() => log.close())
    } catch {
      // The checkpoint tells whether the disk is broken.
    }
  }

  /** Leaves the main file as it is until `release`: somebody copies it. */
  hold(): void {
    this.#isHeld = true
  }

  release(): void {
    this.#isHeld = false
  }

  /** Closes the database: the log goes into the main file and is removed. */
  close(): void {
    let isMarked = true
    try {
      setMarksEqual(this.#db)
    } catch {
      isMarked = false
    }
    this.#db.close()
    // The file is complete although it does not say so: an empty log says the same.
    if (!isMarked) createIfPossible(logPathOf(this.#path))
  }
}

function createIfPossible(path: string): void {
  try {
    closeSync(openSync(path, 'a', 0o600))
  } catch {
    // The next start refuses the file and says how to go on.
  }
}

function areMarksEqual(db: DatabaseSync): boolean {
  const [expected, seen] = valuesOf(db, 'SELECT expected, seen FROM log_marks')
  return expected === seen
}

function valuesOf(db: DatabaseSync, sql: string): unknown[] {
  return Object.values(db.prepare(sql).get() ?? {})
}

function missingLog(path: string): LedgerOpenError {
  const log = logPathOf(path)
  return new LedgerOpenError(
    `STATE_URL: ${path} was in use when it was copied or moved, and its log ${log} with the latest jobs is missing; put the log beside it, restore a copy made by --backup, or create an empty ${log} to go on without those jobs`,
  )
}

/** What an operator can do about a ledger's file that is gone. Its log must never meet another file: SQLite would mix the two. */
export function wayOutOf(path: string): string {
  return (
    `ledger: put ${path} back, the same file, and the gateway goes on; ` +
    `to go on without it, stop the gateway, move ${logPathOf(path)} away too, and start`
  )
}
