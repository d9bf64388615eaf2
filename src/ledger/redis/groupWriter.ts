import { Fifo } from '../../base/fifo.ts'
import type { ReplicaLife } from '../../replicas/index.ts'
import { LARGE_CALL_MS, type RedisArgument, type RedisCalls } from './connection.ts'
import { RecentChanges } from './recentChanges.ts'
import { CONGESTED, RedisError } from './redisError.ts'
import type { Operation } from './rows.ts'
import { DONE, WRITE } from './scripts/write.ts'

/** What one call carries at most: Redis answers nobody else meanwhile. */
const GROUP_OPERATIONS = 100
export const GROUP_BYTES = 512 * 1024
const CALLS_AT_ONCE = 2
const MAX_QUEUED_BYTES = 256 * 1024 * 1024
/** Operations whose loss would be seen, and their names. What was noted of a running job is written anew by its next step. */
const REMEMBERED = new Set<RedisArgument>(['I', 'F', 'R', 'L'])

interface Queued {
  readonly operation: Operation
  readonly bytes: number
  readonly resolve: (outcome: number) => void
  readonly reject: (error: Error) => void
}

export interface GroupWriterOptions {
  readonly redis: RedisCalls
  readonly life: ReplicaLife
  /** After each group that was written: what is kept now. */
  readonly onWritten: (jobs: number, bytes: number) => void
}

/** Sends what one turn of the event loop asks for in one call, in its order. */
export class GroupWriter {
  readonly #options: GroupWriterOptions
  readonly #queue = new Fifo<Queued>()
  readonly #recent = new RecentChanges()
  #queuedBytes = 0
  #underWay = 0
  #isPlanned = false

  constructor(options: GroupWriterOptions) {
    this.#options = options
  }

  /**
   * Writes an operation; resolves with what became of it, see `scripts/write.ts`.
   *
   * @throws RedisError
   */
  write(operation: Operation): Promise<number> {
    const bytes = operation.reduce((sum, argument) => sum + argument.length, 0)
    if (this.#queuedBytes > 0 && this.#queuedBytes + bytes > MAX_QUEUED_BYTES) {
      return Promise.reject(new RedisError(CONGESTED, 'Too much waits for Redis'))
    }
    this.#queuedBytes += bytes
    return new Promise((resolve, reject) => {
      this.#queue.push({ operation, bytes, resolve, reject })
      this.#plan()
    })
  }

  /** Sends all that waits, so that a read that is sent next sees it. */
  flush(): void {
    while (this.#queue.size > 0) void this.#send()
  }

  /** Writes again what was written of late; what is there already stays as it is. Rejects where that cannot be done. */
  async writeAgain(): Promise<void> {
    const operations = this.#recent.operations()
    while (operations.length > 0) {
      await Promise.all(
        operations.splice(0, GROUP_OPERATIONS).map((operation) => {
          if (operation[0] === 'I') operation[1] = 'replay'
          return this.write(operation)
        }),
      )
    }
  }

  #plan(): void {
    if (this.#isPlanned || this.#underWay >= CALLS_AT_ONCE || this.#queue.size === 0) return
    this.#isPlanned = true
    setImmediate(() => {
      this.#isPlanned = false
      if (this.#queue.size > 0) void this.#send()
    })
  }

  async #send(): Promise<void> {
    const { redis, life, onWritten } = this.#options
    const { group, bytes } = this.#nextGroup()
    this.#underWay++
    this.#plan()
    const mark = life.mark()
    const args: RedisArgument[] = [mark.replica]
    for (const { operation } of group) args.push(...operation)
    try {
      const deadline = bytes > GROUP_BYTES ? { deadlineMs: LARGE_CALL_MS } : undefined
      const reply = await redis.run(WRITE, args, deadline)
      const [outcomes, jobs, kept, number] = reply as [number[], number, number, number]
      this.#remember(group.filter((_, index) => outcomes[index] === DONE))
      onWritten(jobs, kept)
      group.forEach(({ resolve }, index) => resolve(outcomes[index]!))
      life.acknowledge(number, mark)
    } catch (error) {
      for (const { reject } of group) reject(error as Error)
    } finally {
      this.#queuedBytes -= bytes
      this.#underWay--
      this.#plan()
    }
  }

  #nextGroup(): { group: Queued[]; bytes: number } {
    const group: Queued[] = []
    let bytes = 0
    while (group.length < GROUP_OPERATIONS) {
      const next = this.#queue.first
      if (!next || (group.length > 0 && bytes + next.bytes > GROUP_BYTES)) break
      bytes += next.bytes
      group.push(this.#queue.shift()!)
    }
    return { group, bytes }
  }

  #remember(written: readonly Queued[]): void {
    const operations = written.map(({ operation }) => operation).filter(([name]) => REMEMBERED.has(name!))
    this.#recent.add(operations.filter((operation) => operation[4] !== 'received'))
  }
}
