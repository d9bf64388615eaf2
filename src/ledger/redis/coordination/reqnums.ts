import type { RedisCalls } from '../connection.ts'
import { defineScript } from '../script.ts'

/** Workers whose numbers are remembered, those that were asked for last: more than a fleet has. */
const MOST_WORKERS = 10_000
/** Raised in one call, so that it does not hold Redis up. */
const RAISED_AT_ONCE = 500

/** ARGV: worker, the highest number that this replica gave it. Returns the next one. */
const NEXT = defineScript(`
local given = tonumber(redis.call('HGET', P .. 'reqnum', ARGV[1]) or 0)
local number = math.max(given, tonumber(ARGV[2])) + 1
redis.call('HSET', P .. 'reqnum', ARGV[1], number)
return number
`)

/** ARGV: worker and number in turn. */
const RAISE = defineScript(`
for i = 1, #ARGV, 2 do
  local given = tonumber(redis.call('HGET', P .. 'reqnum', ARGV[i]) or 0)
  if given < tonumber(ARGV[i + 1]) then redis.call('HSET', P .. 'reqnum', ARGV[i], ARGV[i + 1]) end
end
return 1
`)

/**
 * The numbers of tickets, counted for each worker in the hash `reqnum`. Redis may lose its last moments; a number that was given
 * must not be given again, so each replica remembers the highest of its own.
 */
export class Reqnums {
  readonly #redis: RedisCalls
  readonly #maxWorkers: number
  /** The highest number that this replica gave each worker, the most recent last. */
  readonly #given = new Map<string, number>()

  constructor(redis: RedisCalls, maxWorkers = MOST_WORKERS) {
    this.#redis = redis
    this.#maxWorkers = maxWorkers
  }

  /**
   * The next number of a worker, higher than any that this replica gave.
   *
   * @throws RedisError; then a number may be left out
   */
  async next(worker: string): Promise<number> {
    const number = (await this.#redis.run(NEXT, [worker, String(this.#given.get(worker) ?? 0)])) as number
    this.#remember(worker, number)
    return number
  }

  /**
   * Tells Redis, after it has lost its latest changes, which numbers were given.
   *
   * @throws RedisError
   */
  async putBack(): Promise<void> {
    const given = [...this.#given]
    for (let start = 0; start < given.length; start += RAISED_AT_ONCE) {
      const pairs = given.slice(start, start + RAISED_AT_ONCE)
      await this.#redis.run(
        RAISE,
        pairs.flatMap(([worker, number]) => [worker, String(number)]),
      )
    }
  }

  #remember(worker: string, number: number): void {
    // Answers keep the order of their questions, but for those of two connections.
    const highest = Math.max(number, this.#given.get(worker) ?? 0)
    this.#given.delete(worker)
    this.#given.set(worker, highest)
    if (this.#given.size <= this.#maxWorkers) return
    for (const oldest of this.#given.keys()) {
      this.#given.delete(oldest)
      return
    }
  }
}
