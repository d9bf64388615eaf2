import type { IdempotencyRecord, JobRecord } from '../ledger.ts'
import type { PortableState, Reqnum } from '../portable.ts'
import { LARGE_CALL_MS, type RedisArgument, type RedisCalls, type RedisReply } from './connection.ts'
import { faultOf } from './coordination/faults.ts'
import { ANSWER_FIELDS, answerOf, RECORD_FIELDS, recordOf } from './rows.ts'

/** Rows of a page. Answers hold the bodies of what clients were told, some of them long. */
const JOBS_A_PAGE = 500
const ANSWERS_A_PAGE = 100
const REQNUMS_A_PAGE = 1000
const LARGE = { deadlineMs: LARGE_CALL_MS }

/** All that a ledger in Redis holds, page by page. */
export class RedisPortableState implements PortableState {
  readonly #redis: RedisCalls
  readonly #idsOf: (caller: string) => Promise<string[]>

  /** `idsOf`: all jobs of a caller, oldest first. */
  constructor(redis: RedisCalls, idsOf: (caller: string) => Promise<string[]>) {
    this.#redis = redis
    this.#idsOf = idsOf
  }

  async *jobs(): AsyncGenerator<readonly JobRecord[]> {
    for (const caller of await this.#callers()) {
      const ids = await this.#idsOf(caller)
      for (let at = 0; at < ids.length; at += JOBS_A_PAGE) {
        const records = await Promise.all(ids.slice(at, at + JOBS_A_PAGE).map((id) => this.#record(id)))
        yield records.filter((record) => record !== undefined)
      }
    }
  }

  async *answers(): AsyncGenerator<readonly IdempotencyRecord[]> {
    for (let at = 0; ; at += ANSWERS_A_PAGE) {
      const names = (await this.#call([
        'ZRANGE',
        this.#key('az'),
        String(at),
        String(at + ANSWERS_A_PAGE - 1),
      ])) as Buffer[]
      if (names.length === 0) return
      const rows = await Promise.all(
        names.map((name) => this.#call(['HMGET', this.#key(`a:${String(name)}`), ...ANSWER_FIELDS])),
      )
      yield rows.map(answerOf).filter((answer) => answer !== undefined)
    }
  }

  /** One that is told twice is set twice. */
  async *reqnums(): AsyncGenerator<readonly Reqnum[]> {
    for await (const flat of this.#scan(['HSCAN', this.#key('reqnum')], ['COUNT', String(REQNUMS_A_PAGE)])) {
      const reqnums: Reqnum[] = []
      for (let at = 0; at < flat.length; at += 2) reqnums.push({ worker: flat[at]!, last: Number(flat[at + 1]) })
      if (reqnums.length > 0) yield reqnums
    }
  }

  async request(id: string): Promise<Buffer | undefined> {
    return ((await this.#call(['HGET', this.#key(`j:${id}`), 'req'])) as Buffer | null) ?? undefined
  }

  async setReqnums(reqnums: readonly Reqnum[]): Promise<void> {
    if (reqnums.length === 0) return
    const pairs = reqnums.flatMap(({ worker, last }) => [worker, String(last)])
    await this.#call(['HSET', this.#key('reqnum'), ...pairs])
  }

  /** All callers that have jobs. Their names are few beside the jobs; a scan may tell one twice. */
  async #callers(): Promise<ReadonlySet<string>> {
    const before = this.#key('c:')
    const callers = new Set<string>()
    for await (const names of this.#scan(['SCAN'], ['MATCH', `${before}*`, 'COUNT', '1000'])) {
      for (const name of names) callers.add(name.slice(before.length))
    }
    return callers
  }

  async #record(id: string): Promise<JobRecord | undefined> {
    return recordOf(id, await this.#call(['HMGET', this.#key(`j:${id}`), ...RECORD_FIELDS]))
  }

  async *#scan(command: readonly string[], options: readonly string[]): AsyncGenerator<readonly string[]> {
    let cursor = '0'
    do {
      const [next, found] = (await this.#call([...command, cursor, ...options])) as [Buffer, readonly Buffer[]]
      yield found.map(String)
      cursor = String(next)
    } while (cursor !== '0')
  }

  #key(name: string): string {
    return this.#redis.prefix + name
  }

  async #call(args: readonly RedisArgument[]): Promise<RedisReply> {
    try {
      return await this.#redis.call(args, LARGE)
    } catch (error) {
      throw faultOf(error)
    }
  }
}
