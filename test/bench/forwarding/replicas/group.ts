import { startFaultyProxy, type FaultyProxy } from '../../../kit/faultyProxy.ts'
import { spawnGateway, type Gateway } from '../../../kit/gateway.ts'
import { startRedis, type RedisServer } from '../../../kit/redisServer.ts'
import type { Cleanups } from '../../../kit/cleanups.ts'
import { BENCH_ENV } from '../contenders/gateway.ts'

const REPLICAS = 3

/** Gateways that share a Redis, by way of one network that can be cut. */
export interface Group {
  readonly redis: RedisServer
  readonly line: FaultyProxy
  readonly gateways: readonly Gateway[]
}

export async function startGroup(
  cleanups: Cleanups,
  nodes: readonly string[],
  { services = [], env = {} }: { services?: readonly object[]; env?: Record<string, string> } = {},
): Promise<Group> {
  const redis = await startRedis(cleanups, { appendOnly: true })
  const line = await startFaultyProxy(cleanups, redis.port)
  const STATE_URL = redis.urlAt(line.port)
  const gateways = await Promise.all(
    Array.from({ length: REPLICAS }, () =>
      spawnGateway(cleanups, { nodes, services, env: { ...BENCH_ENV, STATE_URL, ...env } }),
    ),
  )
  for (const gateway of gateways) await gateway.ready(nodes.length + services.length)
  return { redis, line, gateways }
}
