import { EventEmitter, once } from 'node:events'
import { parseStateUrl, type RedisUrl } from '../../../src/base/stateUrl.ts'
import { OwedChanges } from '../../../src/ledger/redis/coordination/owedChanges.ts'
import { RedisConnection } from '../../../src/ledger/redis/connection.ts'
import type { MembershipEvents } from '../../../src/replicas/index.ts'
import type { RedisServer } from '../../kit/redisServer.ts'
import type { Cleanup } from '../../kit/wait.ts'

/** What stands before all keys. */
export const P = '{igw}:'

/** The life of a replica, which beats when a test says so. */
class TestLife extends EventEmitter<MembershipEvents> {
  self: string

  constructor(self: string) {
    super()
    this.self = self
  }

  beat(): void {
    this.emit('seen', [])
  }
}

/** A connection that answers, of a replica that Redis counts among the living. */
export async function joinRedis(t: Cleanup, server: RedisServer, replica: string, url = server.url()) {
  await server.call('HSET', `${P}beats`, replica, '1')
  const redis = await connectRedis(t, url)
  const life = new TestLife(replica)
  return { redis, life, owed: new OwedChanges(life) }
}

/** A connection that answers. */
export async function connectRedis(t: Cleanup, url: string): Promise<RedisConnection> {
  const redis = new RedisConnection(parseStateUrl(url) as RedisUrl)
  t.after(() => redis.close())
  if (!redis.isReady) await once(redis, 'ready')
  return redis
}

/** It dies: others bury it. */
export async function bury(server: RedisServer, replica: string): Promise<void> {
  await server.call('HDEL', `${P}beats`, replica)
  await server.call('ZADD', `${P}gone`, '1', replica)
  await server.call('DEL', `${P}x:${replica}`, `${P}y:${replica}`)
}
