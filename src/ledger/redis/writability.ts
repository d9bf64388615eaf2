import { EventEmitter } from 'node:events'
import type { Logger } from '../../base/logger.ts'
import type { RedisCalls, RedisConnection } from './connection.ts'
import { reasonOf } from './coordination/faults.ts'
import { CONGESTED, mayPass, type RedisError } from './redisError.ts'

const PROBE_KEPT_MS = 60_000
const DISPLACED = new Set(['FENCED', 'LOST'])

interface WritabilityEvents {
  unwritable: []
  /** Redis does not know this replica among the living. */
  displaced: []
}

/** Whether Redis takes writes, as the last calls showed, and how much is kept in it. */
export class Writability extends EventEmitter<WritabilityEvents> {
  readonly #redis: RedisCalls
  readonly #logger: Logger
  #reason: string | undefined = 'Redis has not been reached yet'
  /** Why jobs must not be recorded in this Redis although it takes writes. */
  #refusal: string | undefined
  #wasWritable = false
  jobs = 0
  keptBytes = 0

  constructor(connection: RedisConnection, redis: RedisCalls, logger: Logger) {
    super()
    this.#redis = redis
    this.#logger = logger
    connection.on('failed', (error) => this.#failed(error))
    connection.on('broken', (error) => this.#failed(error))
  }

  /** Why nothing can be written; `undefined` while it can. */
  get reason(): string | undefined {
    return this.#refusal ?? this.#reason
  }

  /** Whether what becomes of jobs can be written. One that must not take new ones may well take their ends. */
  get isWritable(): boolean {
    return this.#reason === undefined
  }

  /** No new jobs may be recorded in this Redis, or with `undefined`: they may again. */
  readonly refuse = (reason: string | undefined): void => {
    this.#refusal = reason
  }

  readonly counted = (jobs: number, bytes: number): void => {
    this.jobs = jobs
    this.keptBytes = bytes
  }

  written(jobs: number, bytes: number): void {
    this.counted(jobs, bytes)
    this.#isWritten()
  }

  /** Tries a small write. */
  async probe(): Promise<boolean> {
    try {
      await this.#redis.call(['SET', `${this.#redis.prefix}probe`, '', 'PX', String(PROBE_KEPT_MS)])
      this.#isWritten()
      return true
    } catch {
      return false
    }
  }

  async probeIfNeeded(): Promise<void> {
    if (!this.isWritable) await this.probe()
  }

  #isWritten(): void {
    if (this.#reason === undefined) return
    if (this.#wasWritable) this.#logger.info('ledger: jobs can be recorded again')
    this.#wasWritable = true
    this.#reason = undefined
  }

  #failed(error: RedisError): void {
    if (DISPLACED.has(error.code)) {
      this.emit('displaced')
      return
    }
    // Neither too much of our own nor a mistake of ours says anything about Redis.
    if (error.code === CONGESTED || !mayPass(error)) return
    const reason = reasonOf(error)
    if (this.#reason !== reason) this.#logger.error(`ledger: jobs cannot be recorded: ${reason}`, causeOf(error))
    this.#reason = reason
    this.emit('unwritable')
  }
}

/** The code of the cause alone: its text may name what does not belong into a log. */
function causeOf({ code, cause }: RedisError): { code: string; cause?: string } {
  const { code: causeCode } = (cause ?? {}) as { code?: unknown }
  return { code, ...(typeof causeCode === 'string' && { cause: causeCode }) }
}
