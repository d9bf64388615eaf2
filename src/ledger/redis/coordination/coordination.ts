import type { Coordination, ReplicaLife } from '../../../replicas/index.ts'
import type { RedisCalls } from '../connection.ts'
import { RedisBudgets } from './budgets.ts'
import { RedisKeys } from './keys.ts'
import type { OwedChanges } from './owedChanges.ts'
import { RedisRoom } from './room.ts'
import { RedisValues } from './values.ts'

/** What replicas share in Redis besides the jobs. */
export function coordinationIn(redis: RedisCalls, life: ReplicaLife, owed: OwedChanges): Coordination {
  return {
    membership: life,
    room: new RedisRoom(redis, life, owed),
    keys: new RedisKeys(redis, life, owed),
    budgets: new RedisBudgets(redis),
    values: new RedisValues(redis),
  }
}
