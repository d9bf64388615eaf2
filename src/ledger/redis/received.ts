import { limitKeyOf } from '../../base/limitKey.ts'
import { PIECE_BYTES, type JobEnd, type ReceivedResult, type ResultPart } from '../ledger.ts'
import { LARGE_CALL_MS, type RedisCalls } from './connection.ts'
import type { OwedChanges } from './coordination/owedChanges.ts'
import { RedisError } from './redisError.ts'
import type { ReceivedName } from './rows.ts'
import { COUNT_PIECE, DROP_RECEIVED, RECEIVED_KEPT_MS } from './scripts/received.ts'

/** What was received is not there any more: Redis has lost it, or the replica that received it was buried. */
export const RECEIVED_GONE = 'RECEIVEDGONE'

export interface ReceivedOptions {
  readonly redis: RedisCalls
  readonly owed: OwedChanges
  readonly onCounted: (jobs: number, bytes: number) => void
}

/** Bytes of a result, written under a name of their own while they arrive, each as it comes. */
export class ReceivedBytes implements ReceivedName {
  readonly name: string
  readonly #replica: string
  readonly #key: string
  readonly #options: ReceivedOptions
  readonly #renewing: NodeJS.Timeout
  resultBytes = 0
  intermediateBytes = -1
  #isOver = false

  /** `replica`: our name at present; the bytes die with it. */
  constructor(replica: string, number: number, caller: string, options: ReceivedOptions) {
    this.#replica = replica
    this.name = `${replica}:${number}`
    this.#key = limitKeyOf(caller)
    this.#options = options
    this.#renewing = setInterval(() => {
      for (const letter of ['r', 'i']) void this.#renew(letter)
    }, RECEIVED_KEPT_MS / 3).unref()
  }

  /** @throws RedisError */
  async add(part: ResultPart, bytes: Buffer): Promise<void> {
    const { redis, onCounted } = this.#options
    const isResult = part === 'result'
    const letter = isResult ? 'r' : 'i'
    const before = isResult ? this.resultBytes : Math.max(0, this.intermediateBytes)
    if (isResult) this.resultBytes = before + bytes.length
    else this.intermediateBytes = before + bytes.length
    if (bytes.length === 0) return
    const counts = [this.#replica, this.name, this.#key, String(bytes.length)]
    // First: what is not counted is not removed at our burial, and who was buried must not add anything.
    const totals = await redis.run(COUNT_PIECE, counts, { deadlineMs: LARGE_CALL_MS })
    const [jobs, kept] = totals as [number, number]
    onCounted(jobs, kept)
    // Past the script: in Lua a long text holds up everybody for several times as long.
    const appended = redis.call(['APPEND', this.#keyOf(letter), bytes], { deadlineMs: LARGE_CALL_MS })
    const [length] = await Promise.all([appended, this.#renew(letter)])
    if (length !== before + bytes.length) throw new RedisError(RECEIVED_GONE, 'What was received is gone')
  }

  /** @throws RedisError */
  async addAll(end: Pick<JobEnd, ResultPart>): Promise<void> {
    for (const part of ['result', 'intermediate'] as const satisfies readonly ResultPart[]) {
      const bytes = end[part]
      for (let at = 0; bytes && (at === 0 || at < bytes.length); at += PIECE_BYTES) {
        await this.add(part, bytes.subarray(at, at + PIECE_BYTES))
      }
    }
  }

  /** It is a job's by now, or is given up; what is left of it is removed. */
  drop(isAttached = false): void {
    if (this.#isOver) return
    this.#isOver = true
    clearInterval(this.#renewing)
    if (isAttached) return
    const { redis, owed, onCounted } = this.#options
    void owed.do(this.#replica, async () => {
      const [jobs, kept] = (await redis.run(DROP_RECEIVED, [this.#replica, this.name])) as [number, number]
      onCounted(jobs, kept)
    })
  }

  async #renew(letter: string): Promise<void> {
    const renewed = this.#options.redis.call(['PEXPIRE', this.#keyOf(letter), String(RECEIVED_KEPT_MS)])
    await renewed.catch(() => {})
  }

  #keyOf(part: string): string {
    return `${this.#options.redis.prefix}t:${this.name}:${part}`
  }
}

/** Ends a job with what was received, as soon as that can be written. */
export type FinishReceived = (
  id: string,
  end: Pick<JobEnd, 'state' | 'finishedAt'>,
  received: ReceivedName,
  isWanted?: () => boolean,
) => Promise<boolean>

/** A result that is received for the ledger. */
export class RedisReceivedResult implements ReceivedResult {
  readonly #bytes: ReceivedBytes
  readonly #finish: FinishReceived
  readonly #faultOf: (error: unknown) => Error

  constructor(bytes: ReceivedBytes, finish: FinishReceived, faultOf: (error: unknown) => Error) {
    this.#bytes = bytes
    this.#finish = finish
    this.#faultOf = faultOf
  }

  async add(part: ResultPart, bytes: Buffer): Promise<void> {
    try {
      await this.#bytes.add(part, bytes)
    } catch (error) {
      throw this.#faultOf(error)
    }
  }

  async finish(id: string, end: Pick<JobEnd, 'state' | 'finishedAt'>, isWanted?: () => boolean): Promise<boolean> {
    const isTaken = await this.#finish(id, end, this.#bytes, isWanted)
    this.#bytes.drop(isTaken)
    return isTaken
  }

  drop(): void {
    this.#bytes.drop()
  }
}
