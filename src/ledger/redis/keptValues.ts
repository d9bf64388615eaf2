import { keptBytesOf, type KeptValues } from '../keptValues.ts'
import type { RedisArgument, RedisCalls, RedisReply } from './connection.ts'
import { faultOf } from './coordination/faults.ts'
import { defineScript } from './script.ts'

/** ARGV: name, value, and the expected one unless there must be none. Returns 1 where it was set. */
const REPLACE = defineScript(`
local standing = redis.call('HGET', P .. 'values', ARGV[1])
if standing ~= (ARGV[3] or false) then return 0 end
redis.call('HSET', P .. 'values', ARGV[1], ARGV[2])
return 1
`)

/** Values in the hash `values`. */
export class RedisKeptValues implements KeptValues {
  readonly #redis: RedisCalls
  readonly #key: string

  constructor(redis: RedisCalls) {
    this.#redis = redis
    this.#key = `${redis.prefix}values`
  }

  async get(name: string): Promise<Buffer | undefined> {
    return ((await this.#call(['HGET', this.#key, name])) as Buffer | null) ?? undefined
  }

  async set(name: string, value: Buffer | string): Promise<void> {
    await this.#call(['HSET', this.#key, name, keptBytesOf(value)])
  }

  async delete(name: string): Promise<void> {
    await this.#call(['HDEL', this.#key, name])
  }

  async replace(name: string, expected: Buffer | undefined, value: Buffer | string): Promise<boolean> {
    const args = [name, keptBytesOf(value), ...(expected ? [expected] : [])]
    return (await this.#redis.run(REPLACE, args).catch(throwFault)) === 1
  }

  async names(): Promise<string[]> {
    return ((await this.#call(['HKEYS', this.#key])) as Buffer[]).map(String)
  }

  #call(args: readonly RedisArgument[]): Promise<RedisReply> {
    return this.#redis.call(args).catch(throwFault)
  }
}

function throwFault(error: unknown): never {
  throw faultOf(error)
}
