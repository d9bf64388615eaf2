import type { Logger } from '../../base/logger.ts'
import { LedgerOpenError } from '../ledger.ts'
import type { CheckedCalls } from './checkedCalls.ts'
import type { RedisConnection } from './connection.ts'
import type { RedisError } from './redisError.ts'
import { checkRedis, refusedLogin } from './startChecks.ts'

/** A gateway that starts waits this long for a Redis that it cannot reach, ms. */
const WAIT_MS = 3000
/** Until one that answers, but cannot be checked yet, is asked again. */
const RETRY_MS = 500

interface OpeningOptions {
  readonly redis: CheckedCalls
  readonly maxBytes: number
  readonly logger: Logger
  /** Once, when Redis was found fit and can be used. */
  readonly onFit: () => Promise<void>
  /** When it was found unfit after the gateway has started. */
  readonly onUnfit: (reason: string) => void
}

/** Checks Redis when it first answers, and lets calls through from then on. */
export class Opening {
  readonly #connection: RedisConnection
  readonly #options: OpeningOptions
  readonly #settled = Promise.withResolvers<void>()
  #isStarting = true
  #isChecking = false
  #isOver = false
  #retry: NodeJS.Timeout | undefined
  #lastRefusal: string | undefined

  constructor(connection: RedisConnection, options: OpeningOptions) {
    this.#connection = connection
    this.#options = options
    connection.on('ready', this.#onReady)
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

  stop(): void {
    this.#isOver = true
    clearTimeout(this.#retry)
  }

  readonly #onReady = (): void => {
    void this.#check()
  }

  readonly #onBroken = (error: RedisError): void => {
    if (this.#options.redis.isOpen) return
    const refusal = refusedLogin(error)
    if (refusal instanceof LedgerOpenError) this.#refuse(refusal)
  }

  async #check(): Promise<void> {
    const { redis, maxBytes, logger, onFit } = this.#options
    if (this.#isOver || this.#isChecking || redis.isOpen) return
    this.#isChecking = true
    try {
      await checkRedis(this.#connection, maxBytes, logger)
      redis.isOpen = true
      await onFit()
      this.#settled.resolve()
    } catch (error) {
      if (error instanceof LedgerOpenError) this.#refuse(error)
      this.#retry = setTimeout(this.#onReady, RETRY_MS).unref()
    } finally {
      this.#isChecking = false
    }
  }

  #refuse(error: LedgerOpenError): void {
    if (this.#isStarting) return this.#settled.reject(error)
    if (this.#lastRefusal === error.message) return
    this.#lastRefusal = error.message
    this.#options.logger.error(error.message)
    this.#options.onUnfit('this Redis is not fit: see the log')
  }
}
