/** Rows of usage for tests. */
import { utcDayOf } from '../../../src/base/utcDay.ts'
import type { UsageRow } from '../../../src/ledger/usage/usage.ts'

/** One request of today. */
export function aRow(over: Partial<UsageRow> = {}): UsageRow {
  const counts = { requests: 1, promptTokens: 10, completionTokens: 5, cachedTokens: 2 }
  return { day: utcDayOf(Date.now()), caller: 'name:team', model: 'org/model', ...counts, ...over }
}

/** The order of callers, then of models. */
export function byName(a: UsageRow, b: UsageRow): number {
  return a.caller < b.caller ? -1 : a.caller > b.caller ? 1 : a.model < b.model ? -1 : 1
}
