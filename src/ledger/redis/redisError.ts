/** Redis cannot be reached. */
export const AWAY = 'AWAY'
/** Redis has not answered in time; whether it did what it was asked is not known. */
export const SILENT = 'SILENT'
/** Too much waits for Redis already. */
export const CONGESTED = 'CONGESTED'
/** Redis has no connection left for this gateway. */
export const CROWDED = 'CROWDED'

/** A call that Redis refused or did not answer. The code is the first word of its reply, such as `OOM`, or one of the above. */
export class RedisError extends Error {
  override readonly name = 'RedisError'
  readonly code: string

  constructor(code: string, message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

/** The error that a reply of Redis is. */
export function refusal(message: string, cause?: unknown): RedisError {
  return new RedisError(
    NO_CONNECTION_LEFT.test(message) ? CROWDED : (/^[A-Z]+/.exec(message)?.[0] ?? 'ERR'),
    message,
    cause,
  )
}

/** Redis's words for it; it has no code of its own. */
const NO_CONNECTION_LEFT = /^ERR max number of clients/

/** Refusals that come again however often the same is asked. */
const LASTING = new Set(['ERR', 'WRONGTYPE', 'NOPERM', 'NOSCRIPT'])

/** Whether the same may be done later. */
export function mayPass(error: unknown): boolean {
  return error instanceof RedisError && !LASTING.has(error.code)
}

/** Whether that may be so within seconds: a full Redis stays full. */
export function isPassing(error: unknown): boolean {
  return mayPass(error) && (error as RedisError).code !== 'OOM'
}
