import type { DatabaseSync } from 'node:sqlite'

/** Writes everything that a database holds to a new file. */
export function writeCopy(db: DatabaseSync, target: string): void {
  db.prepare('VACUUM INTO ?').run(target)
}
