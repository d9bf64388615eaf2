import type { CallOptions, RedisArgument, RedisCalls, RedisReply } from './connection.ts'
import { AWAY, RedisError } from './redisError.ts'
import type { Script } from './script.ts'

/** Calls to a Redis that was found fit; before that they are refused as where there is none. */
export class CheckedCalls implements RedisCalls {
  readonly #redis: RedisCalls
  isOpen = false

  constructor(redis: RedisCalls) {
    this.#redis = redis
  }

  get prefix(): string {
    return this.#redis.prefix
  }

  run(script: Script, args: readonly RedisArgument[], options?: CallOptions): Promise<RedisReply> {
    return this.isOpen ? this.#redis.run(script, args, options) : notYet()
  }

  call(args: readonly RedisArgument[], options?: CallOptions): Promise<RedisReply> {
    return this.isOpen ? this.#redis.call(args, options) : notYet()
  }
}

function notYet(): Promise<never> {
  return Promise.reject(new RedisError(AWAY, 'Redis has not been reached yet'))
}
