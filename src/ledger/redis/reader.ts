import { Semaphore } from '../../base/semaphore.ts'
import { steadyClock } from '../../base/steadyClock.ts'
import {
  KEPT_ANSWER_TTL_MS,
  PIECE_BYTES,
  resultGone,
  unfinishedBytes,
  type IdempotencyRecord,
  type JobFilter,
  type JobRecord,
  type JobState,
  type JobStatus,
  type ReadOptions,
  type UnfinishedJob,
  type JobsPage,
  type JobsQuery,
} from '../ledger.ts'
import type { Membership } from '../../replicas/index.ts'
import { LongBytes } from '../longBytes.ts'
import { browse } from './browser.ts'
import { LARGE_CALL_MS, type CallOptions, type RedisArgument, type RedisCalls, type RedisReply } from './connection.ts'
import { faultOf } from './coordination/faults.ts'
import { keyName } from './coordination/keys.ts'
import type { GroupWriter } from './groupWriter.ts'
import { ANSWER_FIELDS, answerOf, RECORD_FIELDS, recordOf } from './rows.ts'
import type { Script } from './script.ts'
import { LIST, READ, unfinishedScript } from './scripts/reads.ts'

/** Jobs that one call looks at, so that other calls go in between. */
const PAGE = 500
/** Pieces of results that are read at once: whatever else is asked waits behind these at most. */
const MAX_PIECE_READS = 8

const UNFINISHED = unfinishedScript(RECORD_FIELDS)
const LARGE = { deadlineMs: LARGE_CALL_MS }

/** How a job's hash has results that have no key of their own, and where those are that do. */
const PARTS = { result: { field: 'res', letter: 'r' }, intermediate: { field: 'int', letter: 'i' } } as const

type StatusRow = readonly [
  ...[place: number, state: Buffer, node: Buffer, hasOwnKeys: number],
  ...[result: Buffer | null, resultLength: number, intermediate: Buffer | null, intermediateLength: number],
]

/** What the ledger in Redis tells of jobs. All rejects with ERR_LEDGER where Redis cannot be asked. */
export class RedisReader {
  readonly #redis: RedisCalls
  readonly #writer: GroupWriter
  readonly #ttlMs: number
  readonly #pieceReads = new Semaphore(MAX_PIECE_READS)

  constructor(redis: RedisCalls, writer: GroupWriter, ttlMs: number) {
    this.#redis = redis
    this.#writer = writer
    this.#ttlMs = ttlMs
  }

  async read(
    caller: string,
    ids: readonly string[],
    { withIntermediate = true, inlineBytes = PIECE_BYTES }: ReadOptions = {},
  ): Promise<JobStatus[]> {
    const found: JobStatus[] = []
    let left = inlineBytes
    for (let at = 0; at < ids.length; at += PAGE) {
      const page = ids.slice(at, at + PAGE)
      const wanted = withIntermediate ? '1' : '0'
      const deadline = left > PIECE_BYTES ? LARGE : undefined
      const rows = await this.#run(READ, [caller, this.#expiry(), String(left), wanted, ...page], deadline)
      for (const row of rows as StatusRow[]) {
        const [place, state, node, hasOwnKeys, result, resultLength, intermediate, intermediateLength] = row
        left -= (result?.length ?? 0) + (intermediate?.length ?? 0)
        const id = page[place]!
        const ownKeys = hasOwnKeys === 1
        const resultBytes = result ?? this.#longBytes(id, 'result', resultLength, ownKeys)
        const intermediateBytes = intermediate ?? this.#longBytes(id, 'intermediate', intermediateLength, ownKeys)
        found.push({
          ...{ id, state: String(state) as JobState, node: String(node) },
          ...(resultBytes && { result: resultBytes }),
          ...(intermediateBytes && { intermediate: intermediateBytes }),
        })
      }
    }
    return found
  }

  async find(id: string): Promise<JobRecord | undefined> {
    const record = recordOf(id, await this.#call(['HMGET', this.#jobKey(id), ...RECORD_FIELDS]))
    const isExpired = record?.finishedAt !== undefined && record.finishedAt <= Number(this.#expiry())
    return isExpired ? undefined : record
  }

  /** A page of jobs of all callers; of those that are unfinished, in the names of these gateways. */
  browse(query: JobsQuery, { self, replicas }: Pick<Membership, 'self' | 'replicas'>): Promise<JobsPage> {
    const asks = {
      prefix: this.#redis.prefix,
      call: (args: readonly RedisArgument[]) => this.#call(args),
      run: (script: Script, args: readonly RedisArgument[]) => this.#run(script, args),
      expiry: () => this.#expiry(),
    }
    return browse(asks, query, [...new Set([self, ...replicas.map(({ replica }) => replica)])])
  }

  async list(caller: string, filter: JobFilter): Promise<string[]> {
    const ids: string[] = []
    for (let after: Buffer | string | null = '0'; after !== null;) {
      const reply = await this.#run(LIST, [caller, filter, after, String(PAGE), this.#expiry()])
      const [found, last] = reply as unknown as [readonly Buffer[], Buffer | null]
      for (const id of found) ids.push(String(id))
      after = last
    }
    return ids
  }

  async unfinishedOf(replica: string): Promise<UnfinishedJob[]> {
    const found: UnfinishedJob[] = []
    // A scan may tell one twice.
    const seen = new Set<string>()
    for (let cursor = '0', isOver = false; !isOver; isOver = cursor === '0') {
      const scan = ['SSCAN', `${this.#redis.prefix}u:${replica}`, cursor, 'COUNT', String(PAGE)]
      const [next, members] = (await this.#call(scan)) as [Buffer, Buffer[]]
      cursor = String(next)
      const ids = members.map(String).filter((id) => !seen.has(id))
      for (const id of ids) seen.add(id)
      for (let at = 0; at < ids.length; at += PAGE) found.push(...(await this.#unfinished(ids.slice(at, at + PAGE))))
    }
    return found
  }

  async #unfinished(ids: readonly string[]): Promise<UnfinishedJob[]> {
    const rows = (await this.#run(UNFINISHED, ids)) as [place: number, requestLength: number, fields: RedisReply][]
    return rows.map(([place, requestLength, fields]) => {
      const record = recordOf(ids[place]!, fields)!
      return { record, bytes: unfinishedBytes(record.containers, requestLength) }
    })
  }

  /** The replica in whose name a job is, and whether it is unfinished, with its request where that is wanted. */
  async ownerOf(id: string, withRequest = false): Promise<{ owner: string; request: Buffer | undefined } | undefined> {
    const fields = ['s', 'o', ...(withRequest ? ['req'] : [])]
    const deadline = withRequest ? LARGE : undefined
    const row = (await this.#call(['HMGET', this.#jobKey(id), ...fields], deadline)) as (Buffer | null)[]
    const [state, owner, request] = row
    return String(state) === 'running' ? { owner: String(owner), request: request ?? undefined } : undefined
  }

  async idempotencyRecord(caller: string, path: string, key: string): Promise<IdempotencyRecord | undefined> {
    const name = `${this.#redis.prefix}a:${keyName({ caller, path, key })}`
    const answer = answerOf(await this.#call(['HMGET', name, ...ANSWER_FIELDS], LARGE))
    return answer && answer.createdAt > steadyClock.expiryMs() - KEPT_ANSWER_TTL_MS ? answer : undefined
  }

  #longBytes(id: string, part: keyof typeof PARTS, length: number, hasOwnKeys: boolean): LongBytes | undefined {
    if (length < 0) return undefined
    const { field, letter } = PARTS[part]
    const read = async (index: number): Promise<Buffer> => {
      const from = index * PIECE_BYTES
      const until = from + PIECE_BYTES
      if (hasOwnKeys) {
        const key = `${this.#redis.prefix}${letter}:${id}`
        return (await this.#call(['GETRANGE', key, String(from), String(until - 1)], LARGE)) as Buffer
      }
      const bytes = (await this.#call(['HGET', this.#jobKey(id), field], LARGE)) as Buffer | null
      return (bytes ?? Buffer.alloc(0)).subarray(from, until)
    }
    return new LongBytes(length, (index) => this.#pieceReads.run(() => read(index)), resultGone)
  }

  /** The date before which finished jobs have expired. */
  #expiry(): string {
    return String(steadyClock.expiryMs() - this.#ttlMs)
  }

  #jobKey(id: string): string {
    return `${this.#redis.prefix}j:${id}`
  }

  async #call(args: readonly RedisArgument[], options?: CallOptions): Promise<RedisReply> {
    this.#writer.flush()
    try {
      return await this.#redis.call(args, options)
    } catch (error) {
      throw faultOf(error)
    }
  }

  async #run(script: Script, args: readonly RedisArgument[], options?: CallOptions): Promise<RedisReply> {
    this.#writer.flush()
    try {
      return await this.#redis.run(script, args, options)
    } catch (error) {
      throw faultOf(error)
    }
  }
}
