import type { DatabaseSync } from 'node:sqlite'
import type { UsageValues } from '../usage/rows.ts'
import { newUsageRow, OTHER_USAGE } from '../usage/usage.ts'
import { preparerFor, rowOf, rowsOf } from './rows.ts'

/** The rows of the table `usage`. Changes must run in a transaction. */
export class UsageRows {
  readonly #sql: ReturnType<typeof prepareAll>

  constructor(db: DatabaseSync) {
    this.#sql = prepareAll(db)
  }

  add(rows: readonly UsageValues[]): void {
    /** Rows of each day: counted once, for there may be many. */
    const sizes = new Map<number, number>()
    for (const row of rows) {
      if (this.#increase(row)) continue
      const [day, caller, model, ...counts] = row
      const ofDay = sizes.get(day) ?? this.#count(this.#sql.rowsOfDay, day)
      const ofCaller = this.#count(this.#sql.rowsOfCaller, day, caller)
      const place = newUsageRow(caller, model, { ofDay, ofCaller }, () => this.#has(day, caller, OTHER_USAGE))
      const placed: UsageValues = [day, ...place, ...counts]
      const isNew = !this.#increase(placed)
      if (isNew) this.#sql.insert.run(...placed)
      sizes.set(day, isNew ? ofDay + 1 : ofDay)
    }
  }

  read(day: number): UsageValues[] {
    return rowsOf<UsageValues>(this.#sql.ofDay, day)
  }

  /** Removes rows of days before this one; returns how many, at most `most`. */
  removeBefore(day: number, most: number): number {
    return Number(this.#sql.removeBefore.run(day, most).changes)
  }

  /** False where there is no such row. */
  #increase([day, caller, model, ...counts]: UsageValues): boolean {
    return this.#sql.increase.run(...counts, day, caller, model).changes === 1
  }

  #has(day: number, caller: string, model: string): boolean {
    return this.#sql.find.get(day, caller, model) !== undefined
  }

  #count(statement: ReturnType<ReturnType<typeof preparerFor>>, ...values: (number | string)[]): number {
    return rowOf<[number]>(statement, ...values)![0]
  }
}

function prepareAll(db: DatabaseSync) {
  const prepare = preparerFor(db)
  return {
    increase: prepare(
      `UPDATE usage SET requests = requests + ?, prompt_tokens = prompt_tokens + ?,
         completion_tokens = completion_tokens + ?, cached_tokens = cached_tokens + ?
       WHERE day = ? AND caller = ? AND model = ?`,
    ),
    insert: prepare('INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?)'),
    find: prepare('SELECT 1 FROM usage WHERE day = ? AND caller = ? AND model = ?'),
    rowsOfDay: prepare('SELECT count(*) FROM usage WHERE day = ?'),
    rowsOfCaller: prepare('SELECT count(*) FROM usage WHERE day = ? AND caller = ?'),
    ofDay: prepare('SELECT * FROM usage WHERE day = ?'),
    removeBefore: prepare(
      `DELETE FROM usage WHERE (day, caller, model) IN
         (SELECT day, caller, model FROM usage WHERE day < ? ORDER BY day LIMIT ?)`,
    ),
  }
}
