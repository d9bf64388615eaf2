import type { JobEnd, ReceivedResult, ResultPart } from '../ledger.ts'
import { INTERMEDIATE_PART, RESULT_PART } from './results.ts'
import type { ReceivedRow } from './store.ts'
import type { CallStore } from './wire.ts'

/** Ends a job with a received result, as soon as that can be written. */
export type FinishReceived = (id: string, end: ReceivedEnd, isWanted?: () => boolean) => Promise<boolean>
type ReceivedEnd = [state: JobEnd['state'], finishedAt: number, received: ReceivedRow]

/** A result that is written to the SQLite ledger while it arrives. */
export class SqliteReceivedResult implements ReceivedResult {
  readonly #call: CallStore
  readonly #finish: FinishReceived
  readonly #seq: number
  readonly #pieces = [0, 0]
  #resultBytes = 0
  #intermediateBytes: number | null = null

  constructor(call: CallStore, finish: FinishReceived, seq: number) {
    this.#call = call
    this.#finish = finish
    this.#seq = seq
  }

  async add(part: ResultPart, bytes: Buffer): Promise<void> {
    const column = part === 'result' ? RESULT_PART : INTERMEDIATE_PART
    const number = this.#pieces[column]!
    await this.#call('addPiece', this.#seq, column, number, bytes)
    this.#pieces[column] = number + 1
    if (part === 'result') this.#resultBytes += bytes.length
    else this.#intermediateBytes = (this.#intermediateBytes ?? 0) + bytes.length
  }

  async finish(
    id: string,
    { state, finishedAt }: Pick<JobEnd, 'state' | 'finishedAt'>,
    isWanted?: () => boolean,
  ): Promise<boolean> {
    const received: ReceivedRow = [this.#seq, this.#resultBytes, this.#intermediateBytes]
    const isFirst = await this.#finish(id, [state, Math.trunc(finishedAt), received], isWanted)
    this.drop()
    return isFirst
  }

  drop(): void {
    // A thread that has ended has nothing to release: the next start does it.
    this.#call('release', this.#seq).catch(() => {})
  }
}
