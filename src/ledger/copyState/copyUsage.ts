import { randomBytes } from 'node:crypto'
import { utcDayOf } from '../../base/utcDay.ts'
import { firstUsageDay, type UsageStore } from '../usage/usage.ts'

/** Rows that are written at once. */
const ROWS_AT_ONCE = 200

/** Copies the usage of all days that are kept, and of tomorrow, for gateways whose clocks are ahead. */
export async function copyUsage(source: UsageStore, target: UsageStore): Promise<void> {
  const writer = randomBytes(8).toString('hex')
  const now = Date.now()
  let number = 0
  for (let day = firstUsageDay(now); day <= utcDayOf(now) + 1; day++) {
    const rows = await source.read(day)
    for (let at = 0; at < rows.length; at += ROWS_AT_ONCE) {
      await target.add({ writer, number: ++number, rows: rows.slice(at, at + ROWS_AT_ONCE) })
    }
  }
}
