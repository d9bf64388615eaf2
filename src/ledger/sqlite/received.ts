import type { JobEnd, ReceivedResult, ResultPart } from '../ledger.ts'
import { INTERMEDIATE_PART, RESULT_PART } from './results.ts'
import type { BuildOp } from './thread.ts'

/** Submits an operation to the thread that owns the database; `bytes` is what it carries. */
export type AskThread = <Value>(build: BuildOp, bytes?: number) => Promise<Value>

/** A result that is written to the SQLite ledger while it arrives. */
export class SqliteReceivedResult implements ReceivedResult {
  readonly #ask: AskThread
  readonly #seq: number
  readonly #pieces = [0, 0]
  #resultBytes = 0
  #intermediateBytes: number | null = null

  constructor(ask: AskThread, seq: number) {
    this.#ask = ask
    this.#seq = seq
  }

  async add(part: ResultPart, bytes: Buffer): Promise<void> {
    const column = part === 'result' ? RESULT_PART : INTERMEDIATE_PART
    const number = this.#pieces[column]!
    await this.#ask((packer) => ['addPiece', this.#seq, column, number, packer.add(bytes)], bytes.length)
    this.#pieces[column] = number + 1
    if (part === 'result') this.#resultBytes += bytes.length
    else this.#intermediateBytes = (this.#intermediateBytes ?? 0) + bytes.length
  }

  async finish(id: string, { state, finishedAt }: Pick<JobEnd, 'state' | 'finishedAt'>): Promise<boolean> {
    const lengths = [this.#resultBytes, this.#intermediateBytes] as const
    const isFirst = await this.#ask<boolean>(() => [
      'change',
      id,
      null,
      false,
      [state, Math.trunc(finishedAt), -1, -1, [this.#seq, ...lengths]],
    ])
    this.drop()
    return isFirst
  }

  drop(): void {
    // A thread that has ended has nothing to release: the next start does it.
    this.#ask(() => ['release', this.#seq]).catch(() => {})
  }
}
