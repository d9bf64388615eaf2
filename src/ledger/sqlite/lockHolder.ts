import { DatabaseSync } from 'node:sqlite'
import { LedgerOpenError } from '../ledger.ts'

/**
 * The error for a file that somebody else has locked. A gateway holds its ledger exclusively, so that nobody can even read it;
 * any other SQLite client keeps us from that by a lock beside which reading is possible.
 */
export function lockedError(path: string): LedgerOpenError {
  return new LedgerOpenError(
    canRead(path)
      ? `STATE_URL: ${path} is locked by another process, such as a sqlite3 shell that has it open; close that one and start again`
      : `STATE_URL: ${path} is in use by another gateway; each needs a file of its own`,
  )
}

function canRead(path: string): boolean {
  let db: DatabaseSync | undefined
  try {
    db = new DatabaseSync(path, { timeout: 0, readOnly: true })
    db.prepare('SELECT count(*) FROM sqlite_schema').get()
    return true
  } catch {
    return false
  } finally {
    if (db?.isOpen) db.close()
  }
}
