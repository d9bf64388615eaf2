import type { SharedValues } from '../../../replicas/index.ts'
import type { RedisCalls } from '../connection.ts'

/** Small values that all replicas share, as strings under `v:<name>:<key>`. */
export class RedisValues implements SharedValues {
  readonly #redis: RedisCalls

  constructor(redis: RedisCalls) {
    this.#redis = redis
  }

  async get(name: string, key: string): Promise<Buffer | undefined> {
    return ((await this.#redis.call(['GET', this.#keyOf(name, key)])) as Buffer | null) ?? undefined
  }

  async set(name: string, key: string, value: Buffer | string, ttlMs: number): Promise<void> {
    await this.#redis.call(['SET', this.#keyOf(name, key), value, 'PX', String(Math.ceil(ttlMs))])
  }

  async delete(name: string, key: string): Promise<void> {
    await this.#redis.call(['DEL', this.#keyOf(name, key)])
  }

  async setOnce(name: string, key: string, value: string): Promise<string> {
    const standing = (await this.#redis.call(['SET', this.#keyOf(name, key), value, 'NX', 'GET'])) as Buffer | null
    return standing === null ? value : standing.toString()
  }

  #keyOf(name: string, key: string): string {
    return `${this.#redis.prefix}v:${name}:${key}`
  }
}
