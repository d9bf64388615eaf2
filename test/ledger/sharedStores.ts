/** Stores that several gateways share, with as many handles on one as a test wants: each stands for a gateway. */
import type { SharedLedger } from '../../src/ledger/ledger.ts'
import type { LedgerSettings } from '../../src/ledger/open.ts'
import { startFaultyProxy, type FaultyProxy } from '../kit/faultyProxy.ts'
import { redisMissing, startRedis, type RedisServer } from '../kit/redisServer.ts'
import type { Cleanup } from '../kit/wait.ts'
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
  readonly missing: string | false
  readonly open: (t: Cleanup) => Promise<SharedStore>
}

/** Add a store here, and all rules of shared ledgers hold for it. */
export const SHARED_STORES: Record<string, KindOfStore> = {
  redis: { missing: redisMissing, open: openRedisStore },
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
