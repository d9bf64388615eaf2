import { LedgerOpenError } from '../ledger.ts'
import type { RedisCalls, RedisReply } from './connection.ts'
import { RedisError } from './redisError.ts'

/** Of the keys and scripts of this gateway. */
const SCHEMA_VERSION = 1
/** Scripts with flags need it; Valkey counts as the Redis that it came from. */
const LEAST_VERSION = 7
/** Memory that Redis needs for what is kept, its own tables and buffers included. */
const MEMORY_FACTOR = 1.3

const REFUSED_LOGIN = new Set(['WRONGPASS', 'NOAUTH', 'NOPERM', 'ERR'])

/** What is not advisable. */
export interface Warning {
  readonly message: string
  readonly meta?: Readonly<Record<string, number>>
}

/**
 * Checks a Redis before it is used, and returns what is not advisable about it.
 *
 * @throws LedgerOpenError where jobs must not be recorded in it
 * @throws RedisError where it cannot be asked at present
 */
export async function checkServer(redis: RedisCalls, maxBytes: number): Promise<Warning[]> {
  const info = await infoOf(redis).catch(throwRefusedLogin)
  refuseUnfit(info)
  return warningsOf(info, maxBytes)
}

/**
 * Checks that the keys in a Redis are such as this gateway writes, and marks them so where there are none.
 *
 * @throws LedgerOpenError where nothing must be written among them
 * @throws RedisError where it cannot be asked at present
 */
export async function checkSchema(redis: RedisCalls): Promise<void> {
  refuseOther(redis.prefix, await versionIn(redis).catch(throwRefusedLogin))
}

function throwRefusedLogin(error: unknown): never {
  throw error instanceof RedisError ? refusedLogin(error) : error
}

/** An error that shows that this gateway is not let in, as one for its operator; any other as it is. */
export function refusedLogin(error: RedisError): LedgerOpenError | RedisError {
  if (!REFUSED_LOGIN.has(error.code)) return error
  return new LedgerOpenError(`STATE_URL: Redis refuses this gateway: ${error.message}`, { cause: error })
}

type Info = ReadonlyMap<string, string>

async function infoOf(redis: RedisCalls): Promise<Info> {
  const lines = String(await redis.call(['INFO'])).split(/\r?\n/)
  const pairs = lines.filter((line) => line.includes(':') && !line.startsWith('#'))
  return new Map(pairs.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]))
}

function refuseUnfit(info: Info): void {
  const version = info.get('redis_version') ?? ''
  const isOld = version !== '' && Number.parseInt(version, 10) < LEAST_VERSION
  if (isOld)
    throw new LedgerOpenError(`STATE_URL: Redis ${version} is too old; version ${LEAST_VERSION} or Valkey is needed`)
  if (info.get('cluster_enabled') === '1') {
    throw new LedgerOpenError('STATE_URL: Redis runs in cluster mode, which is not supported; name a server of its own')
  }
  const policy = info.get('maxmemory_policy') ?? 'noeviction'
  if (policy !== 'noeviction') {
    throw new LedgerOpenError(
      `STATE_URL: Redis removes jobs when it is full (its maxmemory-policy is ${policy}); set maxmemory-policy noeviction`,
    )
  }
}

async function versionIn(redis: RedisCalls): Promise<RedisReply> {
  const key = `${redis.prefix}v`
  // Read first: a full Redis refuses to set even what is there already.
  return (await redis.call(['GET', key])) ?? (await redis.call(['SET', key, String(SCHEMA_VERSION), 'NX', 'GET']))
}

function refuseOther(prefix: string, kept: RedisReply): void {
  if (kept === null || Number(kept) === SCHEMA_VERSION) return
  const name = prefix.slice(0, -1)
  if (Number(kept) > SCHEMA_VERSION) {
    throw new LedgerOpenError(
      `STATE_URL: the jobs in Redis under ${name} were written by a newer gateway (their version is ${String(kept)}, this gateway knows ${SCHEMA_VERSION}); start that one, or set another ?prefix=`,
    )
  }
  throw new LedgerOpenError(
    `STATE_URL: what is in Redis under ${name} is not complete, such as a copy that broke off; remove it, or set another ?prefix=`,
  )
}

function warningsOf(info: Info, maxBytes: number): Warning[] {
  const warnings: Warning[] = []
  if (info.get('aof_enabled') === '0') {
    const message = 'ledger: Redis writes no append-only file: when it restarts, jobs are lost; set appendonly yes'
    warnings.push({ message })
  }
  const maxmemory = Number(info.get('maxmemory') ?? 0)
  const needed = Math.ceil(MEMORY_FACTOR * maxBytes)
  // Without a bound, as for a copy, there is nothing to compare.
  if (maxmemory > 0 && Number.isSafeInteger(needed) && maxmemory < needed) {
    const message =
      'ledger: Redis may be full before STATE_MAX_BYTES are kept; raise its maxmemory, or lower STATE_MAX_BYTES'
    warnings.push({ message, meta: { maxmemory, needed } })
  }
  return warnings
}
