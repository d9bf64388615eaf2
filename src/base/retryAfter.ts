/** Longer is not waited for; it also keeps timers in their range. */
const MAX_RETRY_AFTER_SECONDS = 3600

/** The headers of an answer that say when to ask again. */
export interface RetryAfterHeaders {
  readonly 'retry-after'?: string | undefined
  /** When the answer was written, by its writer's clock, by which a date in `Retry-After` is meant too. */
  readonly date?: string | undefined
}

/** Reads `Retry-After` in seconds or as a date (RFC 9110, 10.2.3); from 1 to 3600, and 1 where it is missing or nonsense. */
export function retryAfterSeconds(headers: RetryAfterHeaders): number {
  const header = headers['retry-after']
  if (header === undefined) return 1
  const seconds = /^\d+(\.\d+)?$/.test(header)
    ? Number(header)
    : (Date.parse(header) - writtenAtMs(headers.date)) / 1000
  return Number.isFinite(seconds) ? Math.min(Math.max(1, Math.ceil(seconds)), MAX_RETRY_AFTER_SECONDS) : 1
}

/** By our own clock where the answer does not say. */
function writtenAtMs(date: string | undefined): number {
  const written = Date.parse(date ?? '')
  return Number.isNaN(written) ? Date.now() : written
}
