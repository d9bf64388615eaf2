import { statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { LedgerOpenError } from '../ledger.ts'
import { logPathOf } from './log.ts'
import { loggedIdentity } from './loggedIdentity.ts'

/** The row of `log_marks`, from version 3 on; `file` from version 5 on. */
interface Marks {
  readonly expected: number
  readonly seen: number
  readonly file?: Uint8Array
}

/**
 * Refuses a log that belongs to another file than the one it lies beside, as after a copy was put in the ledger's place:
 * SQLite would lay the one over the other and mix their pages. Only reads, and must be called before this process has the
 * file open, since closing the look at it drops the locks that the process holds (POSIX).
 *
 * @throws LedgerOpenError
 */
export function refuseForeignLog(path: string): void {
  const log = logPathOf(path)
  if (!statSync(log, { throwIfNoEntry: false })?.size) return
  const alone = pathToFileURL(path)
  // SQLite then looks at no log.
  alone.search = 'immutable=1'
  const own = marksIn(alone)
  if (own && !isLogOf(own, path)) {
    throw new LedgerOpenError(
      `STATE_URL: ${log} is the log of another file than ${path} is now, such as the one before a copy took its place; move ${log} away to start with ${path} as it is, or put the file of that log back`,
    )
  }
}

function isLogOf(own: Marks, path: string): boolean {
  const { file } = own
  const identity = file && loggedIdentity(logPathOf(path))
  if (identity && Buffer.compare(file, identity) !== 0) return false
  const logged = marksIn(path)
  return !logged || belongTogether(own, logged)
}

/**
 * Each log begins with a write to the marks, so that reading through it shows the marks of its own file. All that the log
 * counts as copied into the file must be in the file: `seen` is raised after that, `expected` before.
 */
function belongTogether(own: Marks, logged: Marks): boolean {
  if (own.expected < logged.seen) return false
  return !own.file || !logged.file || Buffer.compare(own.file, logged.file) === 0
}

/** Undefined where there are none, or where they cannot be read: opening the ledger then tells why. */
function marksIn(location: string | URL): Marks | undefined {
  let db: DatabaseSync | undefined
  try {
    // A connection that may only read leaves the log as it is when it closes.
    db = new DatabaseSync(location, { readOnly: true, timeout: 0 })
    return db.prepare('SELECT * FROM log_marks').get() as Marks | undefined
  } catch {
    return undefined
  } finally {
    db?.close()
  }
}
