import { Writable } from 'node:stream'
import { styleText } from 'node:util'
import winston from 'winston'
import type { LogFields, Logger as LoggerPort } from '../base/logger.ts'
import { withTimeout } from '../base/withTimeout.ts'
import { bounded, shortLine, toJson } from './logText.ts'

type LogLevel = 'error' | 'warn' | 'info' | 'debug'

/** The log of the process. Logging never throws and never waits. */
export interface Logger extends LoggerPort {
  /** Whether debug lines are written: ask before building costly fields. */
  readonly isDebug: boolean
  /** Resolves when all lines have been handed to the operating system, or after a second: before `process.exit`. */
  flush(): Promise<void>
}

/** Bytes that may wait for a slow reader of the log; further lines are dropped and counted, for memory's sake. */
const maxWaitingBytes = 8 * 1024 * 1024

const flushTimeoutSeconds = 1

/** Fields that are left of a line that was too long. */
const MOST_ESSENTIALS = 20

interface Line {
  level: LogLevel
  message: string
  fields: LogFields
}

function jsonLine({ level, message, fields }: Line, withStack: boolean, own: LogFields): string {
  const time = new Date().toISOString()
  // Ours come first for the reader and are set last, so that no field can forge them.
  const head = { time, level, message: bounded(message), ...own }
  const told = { ...head, ...fields, ...head }
  const line = shortLine(toJson(told, withStack), () => toJson(essentialsOf(head, fields), withStack))
  return line.startsWith('{') ? line : toJson({ ...head, fields: 'not serialisable' }, withStack)
}

/** What is left of a line that is too long: its own parts and its short fields. */
function essentialsOf(head: object, fields: LogFields): LogFields {
  const isShort = (value: unknown): boolean => typeof value === 'number' || typeof value === 'boolean'
  const text = (value: unknown): unknown => (typeof value === 'string' ? value.slice(0, 200) : '[too long]')
  const short = Object.entries(fields)
    .slice(0, MOST_ESSENTIALS)
    .map(([name, value]) => [name.slice(0, 100), isShort(value) ? value : text(value)])
  return { ...head, ...(Object.fromEntries(short) as LogFields), ...head, shortened: true }
}

const colours = { error: 'red', warn: 'yellow', info: 'green', debug: 'gray' } as const

/** Plain where it is one word; quoted otherwise, so that a client's text cannot pretend to be a line of the log. */
function prettyValue(value: unknown, withStack: boolean): string {
  return typeof value === 'string' && value.length <= 100 && /^[\w.:/@,*-]+$/.test(value)
    ? value
    : toJson(value, withStack)
}

function prettyLine({ level, message, fields }: Line, withStack: boolean, own: LogFields): string {
  const time = new Date().toISOString().slice(11, 23)
  const label = styleText(colours[level], level.toUpperCase().padEnd(5), { stream: process.stdout })
  const pairs = Object.entries({ ...own, ...fields, ...own })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${prettyValue(value, withStack)}`)
  const whole = `${bounded(message)}${pairs.join('')}`
  // Control characters of a client's text would end the line, or steer the terminal.
  const text = shortLine(whole, () => `${bounded(whole)} shortened=true`).replace(/\p{Cc}/gu, ' ')
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
    process.stdout.once('error', () => resolve())
    process.stdout.write('', () => resolve())
    await withTimeout(promise, flushTimeoutSeconds)
  }
}

let standardOutput: StandardOutput | undefined

export interface LoggerOptions {
  readonly level: LogLevel
  /** `json`, one object a line, or `pretty`, for people. */
  readonly format: 'json' | 'pretty'
  /** Fields of every line. */
  readonly own?: LogFields
}

/** A logger that writes to standard output. */
export function createLogger(options: LoggerOptions): Logger {
  const isDebug = options.level === 'debug'
  const { own = {} } = options
  const toLine = options.format === 'json' ? jsonLine : prettyLine
  const output = (standardOutput ??= new StandardOutput())
  const logger = winston.createLogger({
    level: options.level,
    format: winston.format.printf((info) => toLine(info as unknown as Line, isDebug, own)),
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
