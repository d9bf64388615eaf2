import type { DatabaseSync, StatementSync } from 'node:sqlite'

/** Prepares statements whose rows are arrays, which cost less than objects. */
export function preparerFor(db: DatabaseSync): (sql: string) => StatementSync {
  return (sql) => {
    const statement = db.prepare(sql)
    statement.setReturnArrays(true)
    return statement
  }
}
