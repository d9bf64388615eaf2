import { PIECE_BYTES, type ReceivedResult, type ResultPart } from '../../ledger/index.ts'
import type { FlowGate } from './flowGate.ts'

/** Bytes that wait for the ledger before the answer is held. */
const MAX_WAITING_BYTES = 2 * PIECE_BYTES

export interface ResultWriterOptions {
  readonly receive: () => Promise<ReceivedResult>
  readonly gate: FlowGate
  /** The ledger could not take something; told once, and nothing is written any more. */
  readonly onFailure: (error: unknown) => void
}

/** Writes a result to the ledger while it arrives, piece by piece, and holds the answer while the ledger is behind. */
export class ResultWriter {
  readonly #options: ResultWriterOptions
  #received: ReceivedResult | undefined
  #work: Promise<void> = Promise.resolve()
  #waitingBytes = 0
  #isHolding = false
  #failure: { readonly error: unknown } | undefined
  #part: ResultPart = 'result'
  #gathered: Buffer[] = []
  #gatheredBytes = 0

  constructor(options: ResultWriterOptions) {
    this.#options = options
  }

  write(part: ResultPart, bytes: Buffer): void {
    if (part !== this.#part) this.#cut()
    this.#part = part
    for (let at = 0; at < bytes.length;) {
      const piece = bytes.subarray(at, at + PIECE_BYTES - this.#gatheredBytes)
      this.#gathered.push(piece)
      this.#gatheredBytes += piece.length
      at += piece.length
      if (this.#gatheredBytes === PIECE_BYTES) this.#cut()
    }
  }

  /** Forgets all that was written. */
  reset(): void {
    this.#gathered = []
    this.#gatheredBytes = 0
    this.#enqueue(0, async () => this.#drop())
  }

  /** The whole result; its owner is who called. Rejects where the ledger cannot take it. */
  async complete(): Promise<ReceivedResult> {
    this.#cut()
    await this.#work
    if (!this.#failure) {
      const received = (this.#received ??= await this.#options.receive())
      this.#received = undefined
      return received
    }
    this.#drop()
    throw this.#failure.error
  }

  /** Gives up what was written. */
  async discard(): Promise<void> {
    this.reset()
    await this.#work
    this.#drop()
  }

  /** Hands what is gathered to the ledger. */
  #cut(): void {
    if (this.#gatheredBytes === 0) return
    const bytes = Buffer.concat(this.#gathered, this.#gatheredBytes)
    const part = this.#part
    this.#gathered = []
    this.#gatheredBytes = 0
    this.#enqueue(bytes.length, async () => {
      this.#received ??= await this.#options.receive()
      await this.#received.add(part, bytes)
    })
  }

  #enqueue(bytes: number, task: () => Promise<void>): void {
    this.#waitingBytes += bytes
    this.#holdIfBehind()
    this.#work = this.#work.then(async () => {
      try {
        if (!this.#failure) await task()
      } catch (error) {
        this.#failure = { error }
        this.#options.onFailure(error)
      }
      this.#waitingBytes -= bytes
      this.#holdIfBehind()
    })
  }

  #holdIfBehind(): void {
    const isBehind = this.#waitingBytes > MAX_WAITING_BYTES
    if (isBehind === this.#isHolding) return
    this.#isHolding = isBehind
    if (isBehind) this.#options.gate.hold()
    else this.#options.gate.letGo()
  }

  #drop(): void {
    this.#received?.drop()
    this.#received = undefined
  }
}
