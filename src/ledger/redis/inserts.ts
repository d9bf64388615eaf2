import { setTimeout as sleep } from 'node:timers/promises'
import type { ReplicaLife } from '../../replicas/index.ts'
import { DuplicateJobError, type IdempotencyRecord, type NewJob } from '../ledger.ts'
import type { RedisCalls } from './connection.ts'
import { faultOf } from './coordination/faults.ts'
import type { OwedChanges } from './coordination/owedChanges.ts'
import { GROUP_BYTES, type GroupWriter } from './groupWriter.ts'
import { isPassing } from './redisError.ts'
import { dropAnswerOperation, insertOperation, type Operation } from './rows.ts'
import { DONE, UNDO, type InsertMode } from './scripts/write.ts'

/** Jobs in one call: more would hold Redis up. */
const SLICE_JOBS = 200
/** The nodes have the jobs already, and what keeps Redis from answering may be over soon. */
const TRIED_FOR_MS = 5000
const PAUSE_MS = 200

interface InsertsOptions {
  readonly redis: RedisCalls
  readonly writer: GroupWriter
  readonly life: ReplicaLife
  readonly owed: OwedChanges
  readonly isClosed: () => boolean
}

/** Records jobs: all of an insert or nothing of it, however many there are. */
export class Inserts {
  readonly #options: InsertsOptions

  constructor(options: InsertsOptions) {
    this.#options = options
  }

  /** @throws DuplicateJobError, GatewayFault ERR_LEDGER */
  async insert(jobs: readonly NewJob[], answer: IdempotencyRecord | undefined): Promise<void> {
    if (new Set(jobs.map(({ record }) => record.id)).size < jobs.length) throw new DuplicateJobError()
    const giveUpAt = performance.now() + TRIED_FOR_MS
    const slices = slicesOf(jobs)
    const tried: NewJob[] = []
    for (const [index, slice] of slices.entries()) {
      const answerWithIt = index === slices.length - 1 ? answer : undefined
      try {
        await this.#insertSlice(slice, answerWithIt, giveUpAt)
      } catch (error) {
        // A slice that was refused is not there; of one that nothing was heard of that is not known.
        if (error instanceof DuplicateJobError) this.#undo(tried)
        else this.#undo([...tried, ...slice], answerWithIt)
        throw error
      }
      tried.push(...slice)
    }
  }

  async #insertSlice(jobs: readonly NewJob[], answer: IdempotencyRecord | undefined, giveUpAt: number): Promise<void> {
    const { writer, isClosed } = this.#options
    for (let mode: InsertMode = 'first'; ; mode = 'again') {
      try {
        if ((await writer.write(insertOperation(mode, jobs, answer))) !== DONE) throw new DuplicateJobError()
        return
      } catch (error) {
        if (error instanceof DuplicateJobError) throw error
        if (!isPassing(error) || isClosed() || performance.now() >= giveUpAt) throw faultOf(error)
        await sleep(PAUSE_MS, undefined, { ref: false })
      }
    }
  }

  /**
   * Sent at once: the room of jobs that were recorded must be that of a submission again before it is given back. The answer that was
   * kept with them would promise jobs that are not there.
   */
  #undo(jobs: readonly NewJob[], answer?: IdempotencyRecord): void {
    const { redis, writer, life, owed } = this.#options
    const { self } = life
    const undone = jobs.map(({ record }): Operation => ['U', record.id])
    if (answer) undone.push(dropAnswerOperation(answer))
    void owed.do(self, () => {
      writer.flush()
      const calls: Promise<unknown>[] = []
      for (let at = 0; at < undone.length; at += SLICE_JOBS) {
        const operations = undone.slice(at, at + SLICE_JOBS).flat()
        calls.push(redis.run(UNDO, [self, ...operations]))
      }
      return Promise.all(calls)
    })
  }
}

/** At least one slice, for an answer without jobs. */
function slicesOf(jobs: readonly NewJob[]): NewJob[][] {
  const slices: NewJob[][] = [[]]
  let bytes = 0
  for (const job of jobs) {
    const jobBytes = job.request?.length ?? 0
    let slice = slices.at(-1)!
    if (slice.length >= SLICE_JOBS || (slice.length > 0 && bytes + jobBytes > GROUP_BYTES)) {
      slices.push((slice = []))
      bytes = 0
    }
    slice.push(job)
    bytes += jobBytes
  }
  return slices
}
