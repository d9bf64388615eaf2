/** Stores that several gateways share, with as many handles on one as a test wants: each stands for a gateway. */
import type { SharedLedger } from '../../src/ledger/ledger.ts'
import type { LedgerSettings } from '../../src/ledger/open.ts'
import { startFaultyProxy, type FaultyProxy } from '../kit/faultyProxy.ts'
import { redisMissing, startRedis, type RedisServer } from '../kit/redisServer.ts'
import type { Cleanup } from '../kit/wait.ts'
import { remoteHub, type RemoteHub } from './ipc/hubs.ts'
import { ledgerAt, LogLines } from './ledgerKit.ts'

/** For gateways that are to be dead soon; long enough for a slow machine to beat in time. */
export const SHORT_TIMEOUT = { replicaTimeoutSeconds: 4 }

export interface Handle {
  readonly ledger: SharedLedger
  /** The store and this gateway lose sight of each other, so that the others take it for dead. */
  cutOff(): void
  /** They see each other again. */
  rejoin(): void
}

export interface SharedStore {
  handle(over?: Partial<LedgerSettings>): Promise<Handle>
}

interface KindOfStore {
  /** Whether gateways lose sight of the store without ending, so that they are taken for dead after a while. */
  readonly hasTimeout: boolean
  readonly missing: string | false
  readonly open: (t: Cleanup) => Promise<SharedStore>
}

/** Add a store here, and all rules of shared ledgers hold for it. */
export const SHARED_STORES: Record<string, KindOfStore> = {
  redis: { missing: redisMissing, open: openRedisStore, hasTimeout: true },
  'workers of one machine': { missing: false, open: async () => openWorkersStore(), hasTimeout: false },
}

export interface RedisStore extends SharedStore {
  readonly server: RedisServer
  handle(over?: Partial<LedgerSettings>): Promise<Handle & { readonly proxy: FaultyProxy; readonly log: LogLines }>
}

/** A Redis, which each handle reaches through a network of its own. */
export async function openRedisStore(t: Cleanup, server?: RedisServer): Promise<RedisStore> {
  const redis = server ?? (await startRedis(t))
  return {
    server: redis,
    handle: async (over) => {
      const proxy = await startFaultyProxy(t, redis.port)
      const log = new LogLines()
      const { shared } = await ledgerAt(t, redis.urlAt(proxy.port), { logger: log, ...over })
      return { ledger: shared!, proxy, log, cutOff: () => proxy.cut(), rejoin: () => proxy.mend() }
    },
  }
}

/** A ledger in another process. Its settings are those of the first handle. */
function openWorkersStore(): SharedStore {
  let hub: RemoteHub | undefined
  return {
    handle: async ({ maxBytes } = {}) => {
      hub ??= remoteHub({ url: 'memory:', ...(maxBytes !== undefined && { maxBytes }) })
      const { ledger, lose } = await hub.joinWithLoss()
      // A worker whose channel is lost ends: it never sees the others again.
      return { ledger, cutOff: lose, rejoin: () => {} }
    },
  }
}
