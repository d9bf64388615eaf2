import { Writable } from 'node:stream'
import { styleText } from 'node:util'
import winston from 'winston'

export type LogLevel = 'error' | 'warn' | 'info' | 'debug'

export type LogFields = Record<string, unknown>

/** What the rest of the gateway logs with. Logging never throws and never waits. */
export interface Logger {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  /** Whether debug lines are written: ask before building costly fields. */
  readonly isDebug: boolean
  /** Resolves when all lines have been handed to the operating system, or after a second: before `process.exit`. */
  flush(): Promise<void>
}

/** Bytes that may wait for a slow reader of the log; further lines are dropped and counted, for memory's sake. */
const maxWaitingBytes = 8 * 1024 * 1024

const flushTimeoutMs = 1000

/** How deep the causes of an error are told. */
const maxCauses = 3

/** What a log says of an error: its message and code; the stack only for those who debug. */
function describeError(error: Error, withStack: boolean, causes = maxCauses): LogFields {
  const { code } = error as NodeJS.ErrnoException
  // Node reports a name with several dead addresses as an AggregateError without a message.
  const parts: unknown = error instanceof AggregateError ? error.errors[0] : undefined
  const message = error.message || (parts instanceof Error ? parts.message : error.name)
  return {
    message,
    ...(code === undefined ? {} : { code }),
    ...(withStack ? { stack: error.stack } : {}),
    ...(error.cause instanceof Error && causes > 0 ? { cause: describeError(error.cause, withStack, causes - 1) } : {}),
  }
}

/** JSON of anything. Errors count before their own `toJSON`, which in HTTP clients tells headers and with them keys. */
function toJson(value: unknown, withStack: boolean): string {
  function replace(this: unknown, key: string, replaced: unknown): unknown {
    const original = (this as LogFields)[key]
    if (original instanceof Error) return describeError(original, withStack)
    return typeof replaced === 'bigint' ? String(replaced) : replaced
  }
  try {
    return JSON.stringify(value, replace) ?? 'null'
  } catch {
    return '"[not serialisable]"'
  }
}

interface Line {
  level: LogLevel
  message: string
  fields: LogFields
}

function jsonLine({ level, message, fields }: Line, withStack: boolean): string {
  const time = new Date().toISOString()
  // Ours come first for the reader and are set last, so that no field can forge them.
  const head = { time, level, message }
  const line = toJson({ ...head, ...fields, ...head }, withStack)
  return line.startsWith('{') ? line : toJson({ ...head, fields: 'not serialisable' }, withStack)
}

const colours = { error: 'red', warn: 'yellow', info: 'green', debug: 'gray' } as const

/** Plain where it is one word; quoted otherwise, so that a client's text cannot pretend to be a line of the log. */
function prettyValue(value: unknown, withStack: boolean): string {
  return typeof value === 'string' && /^[\w.:/@,*-]+$/.test(value) ? value : toJson(value, withStack)
}

function prettyLine({ level, message, fields }: Line, withStack: boolean): string {
  const time = new Date().toISOString().slice(11, 23)
  const label = styleText(colours[level], level.toUpperCase().padEnd(5), { stream: process.stdout })
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${prettyValue(value, withStack)}`)
  // Control characters of a client's text would end the line, or steer the terminal.
  const text = `${message}${pairs.join('')}`.replace(/\p{Cc}/gu, ' ')
  return `${time} ${label} ${text}`
}

/** Standard output as a place that outlives its reader: a closed pipe loses the log, not the gateway. */
class StandardOutput extends Writable {
  #isClosed = false
  #dropped = 0

  constructor() {
    super({ decodeStrings: false })
    process.stdout.on('error', () => (this.#isClosed = true))
  }

  override _write(line: string, _encoding: BufferEncoding, done: () => void): void {
    if (this.#isClosed) return done()
    if (process.stdout.writableLength + line.length > maxWaitingBytes) {
      this.#dropped++
      return done()
    }
    if (this.#dropped > 0) {
      const notice = {
        level: 'warn',
        message: 'log lines were dropped, because nobody read them',
        dropped: this.#dropped,
      }
      process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), ...notice })}\n`)
      this.#dropped = 0
    }
    process.stdout.write(line)
    done()
  }

  async flush(): Promise<void> {
    if (this.#isClosed || process.stdout.writableLength === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, flushTimeoutMs)
    process.stdout.once('error', () => resolve())
    process.stdout.write('', () => resolve())
    await promise
    clearTimeout(timer)
  }
}

let standardOutput: StandardOutput | undefined

/** A logger that writes to standard output: `json`, one object a line, or `pretty`, for people. */
export function createLogger(options: { level: LogLevel; format: 'json' | 'pretty' }): Logger {
  const isDebug = options.level === 'debug'
  const toLine = options.format === 'json' ? jsonLine : prettyLine
  const output = (standardOutput ??= new StandardOutput())
  const logger = winston.createLogger({
    level: options.level,
    format: winston.format.printf((info) => toLine(info as unknown as Line, isDebug)),
    transports: [new winston.transports.Stream({ stream: output, eol: '\n' })],
  })
  const writer = (level: LogLevel) => {
    if (!logger.isLevelEnabled(level)) return () => {}
    // Fields travel as one member: winston would add a `message` among them to the message.
    return (message: string, fields: LogFields = {}) => void logger.log({ level, message, fields })
  }
  return {
    debug: writer('debug'),
    info: writer('info'),
    warn: writer('warn'),
    error: writer('error'),
    isDebug,
    flush: () => output.flush(),
  }
}
