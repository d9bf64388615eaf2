import type { IncomingHttpHeaders } from 'node:http'
import { GatewayFault } from '../../faults.ts'
import { nextTurn, type Reservation, Slice } from '../../base/index.ts'
import { JsonSyntaxError } from '../../json/index.ts'
import type { AnswerSink, Attempt, Flow } from '../../upstream/index.ts'
import { PIECE_BYTES, type ReceivedResult, type ResultPart } from '../../ledger/index.ts'
import { FlowGate } from './flowGate.ts'
import { ResultScanner, ResultTooLargeError } from './resultScanner.ts'
import { ResultWriter } from './resultWriter.ts'

/** A longer answer goes to the ledger while it arrives. */
const SHORT_BYTES = PIECE_BYTES

/** What came of asking a node for one job. */
export type LoneOutcome =
  /** A short answer, as it came. */
  | { readonly kind: 'whole'; readonly status: number; readonly headers: IncomingHttpHeaders; readonly body: Buffer }
  | { readonly kind: 'ended'; readonly state: 'success' | 'failed'; readonly received: ReceivedResult }
  | { readonly kind: 'running' | 'unknown' | 'unreadable' }
  | { readonly kind: 'tooLarge'; readonly part: ResultPart }
  /** The ledger could not take it, or too much is being read already. */
  | { readonly kind: 'later' }

export interface LoneAnswerOptions {
  /** The job's id at its node. */
  readonly id: string
  readonly maxResultBytes: number
  /** An answer that takes longer counts as long. */
  readonly shortSeconds: number
  /** Where a short answer is counted. What a long one holds is bounded by its place. */
  readonly memory: Reservation
  readonly receive: () => Promise<ReceivedResult>
  readonly onHead: (status: number, headers: IncomingHttpHeaders) => void
  /** Whether there is a place for one more long answer, which it then has. Called at most once. */
  readonly mayBeLong: () => boolean
}

/**
 * A node's answer about one job. A short one is collected. A long one is checked, and its result written to the ledger,
 * while it arrives; its reader need not wait for that.
 */
export class LoneAnswer implements AnswerSink {
  /** Set when the try has ended, unless that ended by a fault. */
  outcome: LoneOutcome | undefined
  /** Resolves if the answer turns out long. */
  readonly becameLong: Promise<void>
  readonly #options: LoneAnswerOptions
  readonly #tellLong: () => void
  #attempt!: Attempt
  #gate!: FlowGate
  #status = 0
  #headers: IncomingHttpHeaders = {}
  #chunks: Buffer[] = []
  #bytes = 0
  /** Bytes of the answer that are still to come; where it does not say how many, Infinity. */
  #bytesLeft = Infinity
  /** What was collected before the answer turned out long is still being scanned; then what comes waits behind it. */
  #isCatchingUp = false
  #caughtUp = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #long: { readonly scanner: ResultScanner; readonly writer: ResultWriter } | undefined

  constructor(options: LoneAnswerOptions) {
    this.#options = options
    const { promise, resolve } = Promise.withResolvers<void>()
    this.becameLong = promise
    this.#tellLong = resolve
  }

  get isLong(): boolean {
    return this.#long !== undefined
  }

  /** The try whose answer this is; before that is dispatched. */
  belongsTo(attempt: Attempt): void {
    this.#attempt = attempt
  }

  /** Lets a long answer come, which is held at first. */
  letCome(): void {
    this.#gate.letGo()
  }

  begin(status: number, headers: IncomingHttpHeaders, flow: Flow): boolean {
    this.#options.onHead(status, headers)
    this.#gate = new FlowGate(flow)
    this.#status = status
    this.#headers = headers
    this.#bytesLeft = Number(headers['content-length'] ?? Infinity)
    if (status !== 200) return false
    this.#timer = setTimeout(() => this.#becomeLong(), this.#options.shortSeconds * 1000).unref()
    return true
  }

  piece(chunk: Buffer): void {
    if (this.outcome) return
    this.#bytesLeft -= chunk.length
    if (this.#isCatchingUp) return void this.#chunks.push(chunk)
    if (this.#long) return this.#scanInTurn(chunk)
    if (this.#options.memory.grow(chunk.length)) return this.#giveUp({ kind: 'later' })
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
    if (this.#bytes > SHORT_BYTES) this.#becomeLong()
  }

  end(): void | Promise<void> {
    clearTimeout(this.#timer)
    if (this.#isCatchingUp) return this.#caughtUp.then(() => this.end())
    if (this.outcome) return this.#long?.writer.discard()
    if (this.#long) return this.#endLong(this.#long)
    const body = Buffer.concat(this.#chunks, this.#bytes)
    this.outcome = { kind: 'whole', status: this.#status, headers: this.#headers, body }
  }

  broke(): void | Promise<void> {
    clearTimeout(this.#timer)
    return this.#long?.writer.discard()
  }

  #becomeLong(): void {
    clearTimeout(this.#timer)
    if (!this.#options.mayBeLong()) return this.#giveUp({ kind: 'later' })
    const { id, maxResultBytes, receive } = this.#options
    const onFailure = (): void => this.#giveUp({ kind: 'later' })
    const writer = new ResultWriter({ receive, gate: this.#gate, onFailure })
    const scanner = new ResultScanner(id, writer, maxResultBytes)
    this.#long = { scanner, writer }
    this.#gate.hold()
    this.#caughtUp = this.#catchUp()
    this.#tellLong()
  }

  /** Scans what was collected until it turned out long, in slices. */
  async #catchUp(): Promise<void> {
    const slice = new Slice()
    this.#isCatchingUp = true
    this.#gate.hold()
    for (let chunk = this.#chunks.shift(); chunk; chunk = this.#chunks.shift()) {
      if (!this.outcome) this.#scan(chunk)
      if (slice.isOver) await slice.next()
    }
    // First, because more may come at once.
    this.#isCatchingUp = false
    this.#gate.letGo()
  }

  #scan(chunk: Buffer): void {
    try {
      this.#long!.scanner.push(chunk)
    } catch (error) {
      this.#giveUp(outcomeOf(error))
    }
  }

  /** Where that uses up its slice of the turn, more of the answer comes in the next one. */
  #scanInTurn(chunk: Buffer): void {
    const slice = new Slice()
    this.#scan(chunk)
    // All has come but its end: held, it would count as broken off if the node closes the connection now.
    if (!slice.isOver || this.#bytesLeft <= 0) return
    this.#gate.hold()
    void nextTurn().then(() => this.#gate.letGo())
  }

  async #endLong({ scanner, writer }: { scanner: ResultScanner; writer: ResultWriter }): Promise<void> {
    try {
      const verdict = scanner.finish()
      if (verdict === 'success' || verdict === 'failed') {
        this.outcome = { kind: 'ended', state: verdict, received: await writer.complete() }
        return
      }
      this.outcome = { kind: verdict }
    } catch (error) {
      this.outcome ??= outcomeOf(error)
    }
    await writer.discard()
  }

  #giveUp(outcome: LoneOutcome): void {
    if (this.outcome) return
    this.outcome = outcome
    this.#attempt.abort(new GatewayFault('ERR_NODE_BROKE'))
  }
}

/** What an error while an answer is read means; any but those of the answer itself is one of the ledger. */
function outcomeOf(error: unknown): LoneOutcome {
  if (error instanceof ResultTooLargeError) return { kind: 'tooLarge', part: error.part }
  return { kind: error instanceof JsonSyntaxError ? 'unreadable' : 'later' }
}
