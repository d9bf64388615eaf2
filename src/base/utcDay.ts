const DAY_MS = 86_400_000

/** The day of a moment, in UTC days since 1970-01-01; `ms` since then. */
export function utcDayOf(ms: number): number {
  return Math.floor(ms / DAY_MS)
}

/** When a day begins, epoch ms. */
export function startOfUtcDay(day: number): number {
  return day * DAY_MS
}

/** As `YYYY-MM-DD`; days of the years 0 to 9999. */
export function textOfUtcDay(day: number): string {
  return new Date(startOfUtcDay(day)).toISOString().slice(0, 10)
}
