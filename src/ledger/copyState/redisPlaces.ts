import { once } from 'node:events'
import type { RedisUrl } from '../../base/stateUrl.ts'
import type { Logger } from '../../base/logger.ts'
import { SHARED_TICKET_KEY } from '../../base/ticketKey.ts'
import { RedisConnection, type RedisReply } from '../redis/connection.ts'
import { RedisLedger } from '../redis/ledger.ts'
import { CopyStateError } from './errors.ts'
import { KEEP_ALL, type CopySource, type CopyTarget } from './places.ts'

/** What the schema's version is while a copy is made: no gateway starts on it. */
const INCOMPLETE = 'incomplete'
const CONNECT_MS = 5000
/** Until a gateway that was killed counts as dead, in its own time-outs: one to see it silent, and room for slow beats. */
const WAITED_TIMEOUTS = 2

export interface RedisPlaceOptions {
  readonly url: RedisUrl
  readonly replicaTimeoutMs: number
  readonly logger: Logger
}

/**
 * Opens a ledger in Redis to read all of it, once no gateway works with it any more.
 *
 * @throws CopyStateError, LedgerOpenError
 */
export async function openRedisSource(options: RedisPlaceOptions): Promise<CopySource> {
  const connection = await connect(options.url)
  try {
    if ((await connection.call(['EXISTS', `${connection.prefix}v`])) !== 1) {
      throw new CopyStateError(`${nameOf(options.url)} is empty: there is nothing to copy`)
    }
  } finally {
    connection.close()
  }
  const ledger = await RedisLedger.open({ ...options, ...KEEP_ALL })
  try {
    await othersToEnd(ledger, options)
  } catch (error) {
    await ledger.close()
    throw error
  }
  return {
    ledger,
    state: ledger.portable(),
    ticketKey: async () => (await ledger.coordination.values.get(...SHARED_TICKET_KEY))?.toString(),
    close: () => ledger.close(),
  }
}

/**
 * Makes a ledger where no key with the prefix is. Its jobs are in the name of this process, which is buried at the end: the first
 * gateway takes the unfinished ones over.
 *
 * @throws CopyStateError, LedgerOpenError
 */
export async function openRedisTarget(options: RedisPlaceOptions): Promise<CopyTarget> {
  const connection = await connect(options.url)
  try {
    await refuseKeys(connection, options.url)
    const ledger = await RedisLedger.open({ ...options, ...KEEP_ALL })
    const versionKey = `${connection.prefix}v`
    const version = (await connection.call(['SET', versionKey, INCOMPLETE, 'GET'])) as Buffer
    return {
      ledger,
      state: ledger.portable(),
      setTicketKey: async (pem) => void (await ledger.coordination.values.setOnce(...SHARED_TICKET_KEY, pem)),
      complete: async () => {
        await ledger.close()
        await connection.call(['SET', versionKey, version])
        connection.close()
      },
      giveUp: async () => {
        await ledger.close()
        connection.close()
        return `remove what was copied: ${removal(options.url)}`
      },
    }
  } catch (error) {
    connection.close()
    throw error
  }
}

async function connect(url: RedisUrl): Promise<RedisConnection> {
  const connection = new RedisConnection(url)
  let why = 'Redis cannot be reached'
  connection.on('broken', ({ message }) => (why = message))
  try {
    await once(connection, 'ready', { signal: AbortSignal.timeout(CONNECT_MS) })
    return connection
  } catch (error) {
    connection.close()
    throw new CopyStateError(`${nameOf(url)}: ${why}`, { cause: error })
  }
}

async function refuseKeys(connection: RedisConnection, url: RedisUrl): Promise<void> {
  const { prefix } = connection
  if (String(await connection.call(['GET', `${prefix}v`])) === INCOMPLETE) {
    throw new CopyStateError(`${nameOf(url)} holds a copy that did not end; remove it: ${removal(url)}`)
  }
  let cursor = '0'
  do {
    const reply = await connection.call(['SCAN', cursor, 'MATCH', `${prefix}*`, 'COUNT', '1000'])
    const [next, found] = reply as [Buffer, readonly RedisReply[]]
    if (found.length > 0) {
      const advice = 'set another ?prefix=, or, if that is of no use any more, remove it'
      throw new CopyStateError(`${nameOf(url)} is not empty; ${advice}: ${removal(url)}`)
    }
    cursor = String(next)
  } while (cursor !== '0')
}

/** A gateway that was stopped is not among them; one that was killed counts as dead after its time-out. */
async function othersToEnd(ledger: RedisLedger, { url, replicaTimeoutMs, logger }: RedisPlaceOptions): Promise<void> {
  const { membership } = ledger.coordination
  const giveUpAt = performance.now() + WAITED_TIMEOUTS * replicaTimeoutMs
  const others = (): number =>
    membership.replicas.filter(({ replica, state }) => state !== 'gone' && replica !== membership.self).length
  if (others() > 0) logger.warn('waiting for gateways that have not said that they ended')
  while (others() > 0 || membership.replicas.length === 0) {
    const left = giveUpAt - performance.now()
    if (left <= 0) throw new CopyStateError(`${nameOf(url)} is in use by another gateway: stop all of them first`)
    await once(membership, 'seen', { signal: AbortSignal.timeout(Math.ceil(left)) }).catch(() => undefined)
  }
}

/** The place without its password. */
function nameOf({ isTls, host, port, database, prefix }: RedisUrl): string {
  return `redis${isTls ? 's' : ''}://${host}:${port}/${database} (prefix ${prefix})`
}

/** The command that removes all keys with the prefix. A password is asked for as `redis-cli` asks for it. */
function removal({ isTls, host, port, database, prefix }: RedisUrl): string {
  const cli = `redis-cli -h ${host} -p ${port} -n ${database}${isTls ? ' --tls' : ''}`
  return `${cli} --scan --pattern '{${prefix}}:*' | xargs ${cli} unlink`
}
