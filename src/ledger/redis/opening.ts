import type { Logger } from '../../base/logger.ts'
import { LedgerOpenError } from '../ledger.ts'
import type { CheckedCalls } from './checkedCalls.ts'
import type { RedisConnection } from './connection.ts'
import type { RedisError } from './redisError.ts'
import { checkSchema, checkServer, refusedLogin, type Warning } from './startChecks.ts'

/** A gateway that starts waits this long for a Redis that it cannot reach, ms. */
const WAIT_MS = 3000
/** Until one that answers, but cannot be checked yet, is asked again. */
const RETRY_MS = 500
/** The same for one that was found unfit: its operator may put it right. */
const UNFIT_RETRY_MS = 2000

interface OpeningOptions {
  readonly redis: CheckedCalls
  readonly maxBytes: number
  readonly logger: Logger
  /** When Redis can be used, for the first time or again after calls were held back. */
  readonly onOpen: () => Promise<void>
  /** When it was found unfit after the gateway has started, and with `undefined` when it is fit again. */
  readonly onUnfit: (reason: string | undefined) => void
}

/**
 * Checks Redis whenever it may be another one than before: when it first answers, over each new connection, and when it has lost
 * changes. Calls are let through from the first time that it was found fit, and held back while its keys are of another schema. One
 * that is unfit otherwise gets no new jobs; what runs goes on.
 */
export class Opening {
  readonly #connection: RedisConnection
  readonly #options: OpeningOptions
  readonly #settled = Promise.withResolvers<void>()
  #isStarting = true
  #isOver = false
  #isChecking = false
  #isStale = false
  #retry: NodeJS.Timeout | undefined
  #lastRefusal: string | undefined
  readonly #warned = new Set<string>()

  constructor(connection: RedisConnection, options: OpeningOptions) {
    this.#connection = connection
    this.#options = options
    connection.on('ready', () => this.check())
    connection.on('broken', this.#onBroken)
  }

  /**
   * Settles when Redis can be used, or cannot be reached for a moment.
   *
   * @throws LedgerOpenError
   */
  async settled(): Promise<void> {
    const timer = setTimeout(() => this.#settled.resolve(), WAIT_MS)
    try {
      await this.#settled.promise
    } finally {
      clearTimeout(timer)
      this.#isStarting = false
    }
  }

  /** Redis may be another one than before. */
  check(): void {
    if (this.#isOver) return
    clearTimeout(this.#retry)
    this.#isStale = true
    if (!this.#isChecking) void this.#checkAll()
  }

  stop(): void {
    this.#isOver = true
    clearTimeout(this.#retry)
  }

  readonly #onBroken = (error: RedisError): void => {
    if (this.#options.redis.isOpen) return
    const refusal = refusedLogin(error)
    if (refusal instanceof LedgerOpenError) this.#refuse(refusal)
  }

  async #checkAll(): Promise<void> {
    let pauseMs: number | undefined
    this.#isChecking = true
    while (this.#isStale && !this.#isOver) {
      this.#isStale = false
      pauseMs = await this.#check()
    }
    this.#isChecking = false
    if (pauseMs !== undefined && !this.#isOver) this.#retry = setTimeout(() => this.check(), pauseMs).unref()
  }

  /** Returns after how many ms it is to be tried again, if at all. */
  async #check(): Promise<number | undefined> {
    const { redis, onOpen, onUnfit } = this.#options
    try {
      const unfit = await this.#checkServer()
      // In one that was never used nothing is written before it is found fit.
      if (unfit && !redis.isOpen) throw unfit
      await this.#checkSchema()
      if (unfit) throw unfit
      if (this.#lastRefusal !== undefined) {
        this.#lastRefusal = undefined
        onUnfit(undefined)
      }
      if (!redis.isOpen) {
        redis.isOpen = true
        await onOpen()
      }
      this.#settled.resolve()
      return undefined
    } catch (error) {
      if (!(error instanceof LedgerOpenError)) return RETRY_MS
      this.#refuse(error)
      return this.#isStarting ? RETRY_MS : UNFIT_RETRY_MS
    }
  }

  async #checkServer(): Promise<LedgerOpenError | undefined> {
    try {
      this.#warn(await checkServer(this.#connection, this.#options.maxBytes))
      return undefined
    } catch (error) {
      if (error instanceof LedgerOpenError) return error
      throw error
    }
  }

  /** Nothing may be written among keys of another schema. */
  async #checkSchema(): Promise<void> {
    try {
      await checkSchema(this.#connection)
    } catch (error) {
      if (error instanceof LedgerOpenError) this.#options.redis.isOpen = false
      throw error
    }
  }

  #refuse(error: LedgerOpenError): void {
    if (this.#isStarting) return this.#settled.reject(error)
    if (this.#lastRefusal === error.message) return
    this.#lastRefusal = error.message
    this.#options.logger.error(error.message)
    this.#options.onUnfit('this Redis is not fit: see the log')
  }

  /** Each once. */
  #warn(warnings: readonly Warning[]): void {
    for (const { message, meta } of warnings) {
      if (this.#warned.has(message)) continue
      this.#warned.add(message)
      this.#options.logger.warn(message, meta)
    }
  }
}
