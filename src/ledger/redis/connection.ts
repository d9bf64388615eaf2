import { createClient, ErrorReply, RESP_TYPES } from '@redis/client'
import { EventEmitter } from 'node:events'
import type { RedisUrl } from '../../base/stateUrl.ts'
import { AWAY, CONGESTED, RedisError, refusal, SILENT } from './redisError.ts'
import type { Script } from './script.ts'

export type RedisArgument = string | Buffer
/** Strings come as bytes, short words such as `OK` as text. */
export type RedisReply = Buffer | string | number | null | readonly RedisReply[]

export interface CallOptions {
  /** After which the call rejects, ms; CALL_MS where nothing is said. What was asked may be done all the same. */
  readonly deadlineMs?: number
}

/** For what is long: its transfer takes time. */
export const LARGE_CALL_MS = 30_000
const CALL_MS = 2000
const CONNECT_MS = 2000
/** From a connection to its first answers. */
const HANDSHAKE_MS = 5000
const MIN_PAUSE_MS = 50
const MAX_PAUSE_MS = 2000
const MAX_QUEUED_CALLS = 20_000
const MAX_QUEUED_BYTES = 256 * 1024 * 1024

interface ConnectionEvents {
  /** Redis answers, for the first time or again. */
  ready: []
  /** The connection broke or could not be made; it is tried again. */
  broken: [error: RedisError]
  /** A call was refused or not answered; its caller learns it as well. */
  failed: [error: RedisError]
}

/** What those need who call scripts of their own. */
export interface RedisCalls {
  /** Before each key, such as `{igw}:`. */
  readonly prefix: string
  /**
   * Runs a script.
   *
   * @throws RedisError
   */
  run(script: Script, args: readonly RedisArgument[], options?: CallOptions): Promise<RedisReply>
  /**
   * Runs a command, whose keys have the prefix already.
   *
   * @throws RedisError
   */
  call(args: readonly RedisArgument[], options?: CallOptions): Promise<RedisReply>
}

/**
 * One connection to Redis, made anew whenever it breaks. Calls are sent in the order in which they are made. While there is
 * no connection they reject at once; a call never waits for one.
 */
export class RedisConnection extends EventEmitter<ConnectionEvents> implements RedisCalls {
  readonly prefix: string
  readonly #url: RedisUrl
  #client: Client
  #handshake: NodeJS.Timeout | undefined
  /** Scripts that were sent over this connection, by their hashes. */
  #known = new Set<string>()
  #queuedBytes = 0
  #retry: NodeJS.Timeout | undefined
  /** Connections that were lost or not made since the last answer. */
  #failures = 0
  #isClosed = false

  constructor(url: RedisUrl) {
    super()
    this.prefix = `{${url.prefix}}:`
    this.#url = url
    this.#client = this.#connect()
  }

  get isReady(): boolean {
    return this.#client.isReady
  }

  async run(script: Script, args: readonly RedisArgument[], options?: CallOptions): Promise<RedisReply> {
    this.#load(script)
    try {
      return await this.#send(['EVALSHA', script.sha, '1', this.prefix, ...args], options)
    } catch (error) {
      if ((error as RedisError).code !== 'NOSCRIPT') throw this.#told(error as RedisError)
      // It has forgotten all of them, or may not be told any.
      this.#known.clear()
      return this.call(['EVAL', script.text, '1', this.prefix, ...args], options)
    }
  }

  /**
   * Makes Redis know a script before the first call over this connection: run by its text after a NOSCRIPT, it would run after
   * what is asked meanwhile.
   */
  #load({ sha, text }: Script): void {
    if (this.#known.has(sha) || !this.#client.isReady) return
    const known = this.#known.add(sha)
    this.#send(['SCRIPT', 'LOAD', text]).catch(({ code }: RedisError) => {
      // Where this user may load none, the text goes along with each first call instead.
      if (code !== 'NOPERM') known.delete(sha)
    })
  }

  async call(args: readonly RedisArgument[], options?: CallOptions): Promise<RedisReply> {
    try {
      return await this.#send(args, options)
    } catch (error) {
      throw this.#told(error as RedisError)
    }
  }

  /** Drops a connection that does not answer, and makes another. */
  renew(): void {
    if (this.#isClosed) return
    this.#drop()
    this.#client = this.#connect()
  }

  /** All calls reject from now on. */
  close(): void {
    this.#isClosed = true
    this.#drop()
  }

  #told(error: RedisError): RedisError {
    if (!this.#isClosed) this.emit('failed', error)
    return error
  }

  #send(args: readonly RedisArgument[], { deadlineMs = CALL_MS }: CallOptions = {}): Promise<RedisReply> {
    if (!this.#client.isReady) return Promise.reject(new RedisError(AWAY, 'Redis cannot be reached'))
    let bytes = 0
    for (const arg of args) bytes += arg.length
    if (this.#queuedBytes > 0 && this.#queuedBytes + bytes > MAX_QUEUED_BYTES) {
      return Promise.reject(new RedisError(CONGESTED, 'Too much waits for Redis'))
    }
    this.#queuedBytes += bytes
    return new Promise((resolve, reject) => {
      const deadline = setTimeout(() => reject(new RedisError(SILENT, 'Redis does not answer')), deadlineMs)
      const settle = (): void => {
        clearTimeout(deadline)
        this.#queuedBytes -= bytes
      }
      this.#client.sendCommand<RedisReply>(args).then(
        (reply) => {
          this.#failures = 0
          settle()
          resolve(reply)
        },
        (error: Error) => {
          settle()
          reject(errorOf(error))
        },
      )
    })
  }

  #connect(): Client {
    const client = clientOf(this.#url)
    this.#known = new Set()
    client.on('connect', () => {
      // A client that was dropped while it connected does not notice that by itself.
      if (client === this.#client && !this.#isClosed) this.#awaitHandshake()
      else client.destroy()
    })
    client.on('ready', () => {
      clearTimeout(this.#handshake)
      if (client === this.#client) this.emit('ready')
    })
    client.on('error', (error: Error) => {
      if (client === this.#client && !this.#isClosed) this.#lost(errorOf(error))
    })
    // The event tells of each attempt that fails.
    client.connect().catch(() => {})
    return client
  }

  /**
   * The client's own way of reconnecting starts at once, and over again with each connection that is accepted: at a balancer whose
   * Redis is down it would never rest.
   */
  #lost(error: RedisError): void {
    if (this.#retry) return
    this.#drop()
    this.#retry = setTimeout(() => this.renew(), pauseMs(this.#failures++))
    this.emit('broken', error)
  }

  /** A server that takes connections but answers nothing would be waited for without end. */
  #awaitHandshake(): void {
    clearTimeout(this.#handshake)
    this.#handshake = setTimeout(() => this.renew(), HANDSHAKE_MS).unref()
  }

  #drop(): void {
    clearTimeout(this.#handshake)
    clearTimeout(this.#retry)
    this.#retry = undefined
    this.#client.destroy()
  }
}

type Client = ReturnType<typeof clientOf>

function clientOf({ host, port, isTls, username, password, database }: RedisUrl) {
  const client = createClient({
    ...{ RESP: 2, maintNotifications: 'disabled', disableClientInfo: true },
    ...{ disableOfflineQueue: true, commandsQueueMaxLength: MAX_QUEUED_CALLS },
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    database,
    // A deadline of the client's own would cost more than the call.
    commandOptions: { timeout: 0 },
    socket: { host, port, ...(isTls && { tls: true }), connectTimeout: CONNECT_MS, reconnectStrategy: false },
  })
  return client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })
}

/** Before the next attempt to connect. Grows with each failure; by chance, so that not all gateways come back at once. */
function pauseMs(failures: number): number {
  return Math.min(MAX_PAUSE_MS, MIN_PAUSE_MS * 2 ** failures) * (0.5 + Math.random() / 2)
}

function errorOf(error: Error): RedisError {
  return error instanceof ErrorReply
    ? refusal(error.message, error)
    : new RedisError(AWAY, 'Redis cannot be reached', error)
}
