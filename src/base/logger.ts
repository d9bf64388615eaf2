/** What a line of the log holds besides its message. */
export type LogFields = Record<string, unknown>

/** What modules below the composition root may say to the log. */
export interface Logger {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}
