import type { IncomingHttpHeaders } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Dispatcher } from 'undici'
import type { TrackedNode } from '../fleet/node.ts'
import { GatewayFault, type FaultCode } from '../faults.ts'
import type { Reservation } from '../base/memory/budget.ts'
import { Collector } from '../base/memory/collector.ts'
import { answerRefused } from '../http/requestMemory.ts'
import { faultOfTransport, isRefused } from './attemptFaults.ts'
import { Deadline } from '../base/deadline.ts'
import type { Answer, AnswerSink, BackendRequest, Flow } from './answer.ts'
import { isReuseRace } from './idleCloses.ts'
import type { AnswerHandler, Heard, Repeat, SilenceLimits, Transport } from './transport.ts'

export type AttemptResult =
  | { readonly kind: 'answer'; readonly answer: Answer }
  | { readonly kind: 'streamed'; readonly status: number }
  | { readonly kind: 'fault'; readonly fault: GatewayFault; readonly refused: boolean }

/** Without a sink nothing is streamed. */
export type CollectResult = Exclude<AttemptResult, { kind: 'streamed' }>

const NOBODY: Heard = { heardAtMs: 0 }
/** A collected answer larger than this is given up, bytes. */
const MAX_COLLECTED = 64_000_000
/** This much of an answer always has room: the id of a job that a node has accepted must not be lost for want of it, bytes. */
const ALWAYS_COLLECTED = 16_384
/** An answer that its sink may take late is collected up to this, bytes and ms from its head. */
const MAX_HELD = 65_536
const HOLD_MS = 3000

export interface AttemptOptions {
  /** For the whole exchange, in place of the transport's limit for a collected answer. */
  readonly timeoutSeconds?: number
  /** Until the request is sent, from then until the answer begins, and between two pieces of it. */
  readonly silenceSeconds?: number
  /** Between two pieces of the answer, where that is another time. */
  readonly idleSeconds?: number
  /** Of a collected answer. */
  readonly maxBytes?: number
  /** Where a collected answer is counted; after a fault nothing of it is. Without it nothing is counted. */
  readonly memory?: Reservation | undefined
  /** How much of an answer is collected even where there is no room, bytes. */
  readonly alwaysBytes?: number
}

/** A request that may be sent once more. */
interface Repeatable {
  readonly by: Repeat
  readonly node: TrackedNode
  readonly request: BackendRequest
}

/** One try at one node. It either streams into its sink or collects the answer, and settles exactly once. */
export class Attempt implements AnswerHandler, Flow {
  readonly result: Promise<AttemptResult>
  /** Monotonic ms of the first byte of the answer; 0 before. */
  answeredAt = 0
  /**
   * Whether the request may be sent once more on a fresh connection where it met the end of an idle one: nobody can say then
   * whether the node has seen it. A GET always may.
   */
  acceptsSecondRun = false
  #repeatable: Repeatable | undefined
  /** Monotonic ms when the node was last heard, or the request was sent, or the try began. */
  #heardAt = performance.now()
  #node: Heard = NOBODY
  readonly #endsAt: number
  readonly #silenceMs: number
  #answerMs: number
  /** Longest time from sending to the end of a collected answer. */
  #wholeMs = Infinity
  /** Monotonic ms by which a collected answer must be complete. */
  #collectedBy = Infinity
  #idleMs: number
  #deadline: Deadline | undefined
  #isPaused = false
  #resolve!: (result: AttemptResult) => void
  #controller: Dispatcher.DispatchController | undefined
  #sent = false
  /** It was sent once more, since the connection that it had been handed to was closed. */
  #isRepeated = false
  #abortedBy: GatewayFault | undefined
  #sink: AnswerSink | undefined
  #streaming = false
  /** Runs while an answer is collected that its sink may still take. */
  #holding: NodeJS.Timeout | undefined
  #status = 0
  #headers: IncomingHttpHeaders = {}
  #collected: Collector | undefined
  readonly #maxBytes: number
  readonly #alwaysBytes: number
  readonly #memory: Reservation | undefined

  constructor(sink?: AnswerSink, options: AttemptOptions = {}) {
    const { timeoutSeconds = Infinity, silenceSeconds = Infinity, maxBytes = MAX_COLLECTED } = options
    this.#sink = sink
    this.#maxBytes = maxBytes
    this.#memory = options.memory
    this.#alwaysBytes = options.alwaysBytes ?? ALWAYS_COLLECTED
    this.#endsAt = this.#heardAt + timeoutSeconds * 1000
    this.#silenceMs = this.#answerMs = silenceSeconds * 1000
    this.#idleMs = (options.idleSeconds ?? silenceSeconds) * 1000
    this.result = new Promise((resolve) => (this.#resolve = resolve))
  }

  limitSilence({ answerTimeoutSeconds, idleTimeoutSeconds }: SilenceLimits, node: Heard): void {
    this.#node = node
    this.#answerMs = Math.min(this.#answerMs, answerTimeoutSeconds * 1000)
    this.#idleMs = Math.min(this.#idleMs, idleTimeoutSeconds * 1000)
    if (this.#endsAt === Infinity) this.#wholeMs = answerTimeoutSeconds * 1000
    this.#deadline = new Deadline(
      () => this.#dueAt(),
      () => this.abort(new GatewayFault(this.#lateness())),
    )
  }

  repeatsBy(by: Repeat, node: TrackedNode, request: BackendRequest): void {
    if (this.acceptsSecondRun || request.method === 'GET') this.#repeatable = { by, node, request }
  }

  /** What to call a deadline that has passed. */
  #lateness(): FaultCode {
    if (this.answeredAt === 0) return 'ERR_NODE_SILENT'
    const now = performance.now()
    // An answer that has stopped broke off, whichever limit noticed; one that still arrives is too slow.
    const hasStopped = now < this.#collectedBy || now - this.#heardAt > this.#wholeMs / 2
    return hasStopped ? 'ERR_NODE_BROKE' : 'ERR_NODE_SLOW'
  }

  /** Monotonic ms by which something has to be heard. */
  #dueAt(): number {
    // Who pauses the flow does not hear the node.
    if (this.#isPaused) return this.#endsAt
    const ms = this.answeredAt > 0 ? this.#idleMs : this.#sent ? this.#answerMs : this.#silenceMs
    return Math.min(this.#endsAt, this.#collectedBy, this.#heardAt + ms)
  }

  pause(): void {
    this.#isPaused = true
    this.#controller?.pause()
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#heardAt = performance.now()
    this.#deadline?.look()
    this.#controller?.resume()
  }

  /** Whether the request was handed to a connection: past that nobody can say what the node has seen. */
  get sent(): boolean {
    return this.#sent
  }

  /** Whether the request was handed to a connection at all, be it one that was closed before a fresh one was tried. */
  get wasSent(): boolean {
    return this.#sent || this.#isRepeated
  }

  /** Whether its sink has taken the answer: past that nobody can say what the client has seen. */
  get isStreaming(): boolean {
    return this.#streaming
  }

  /** Ends the try at once, towards the node too. */
  abort(fault: GatewayFault): void {
    if (this.#abortedBy) return
    this.#abortedBy = fault
    this.#deadline?.stop()
    if (this.#controller) this.#controller.abort(fault)
    // Still waiting for a connection: nothing was sent, and nothing will be.
    else this.#resolve({ kind: 'fault', fault, refused: false })
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#abortedBy) return controller.abort(this.#abortedBy)
    this.#sent = true
    this.#heardAt = performance.now()
    this.#collectedBy = this.#heardAt + this.#wholeMs
    this.#deadline?.look()
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    // An interim answer (1xx) is no answer: a node that only sends those is silent.
    if (status < 200) return
    this.answeredAt = this.#heard()
    this.#status = status
    this.#headers = headers
    this.#streaming = this.#sink?.begin(status, headers, this) === true
    if (this.#streaming) this.#collectedBy = Infinity
    else if (this.#sink?.takesLate === true) this.#holding = setTimeout(() => this.#streamLate(), HOLD_MS)
    this.#deadline?.look()
  }

  /** Hands an answer that is being collected to the sink, which takes it from here. */
  #streamLate(): void {
    this.#endHold()
    if (this.#abortedBy) return
    const collected = this.#collected?.take()
    this.#streaming = true
    this.#collectedBy = Infinity
    this.#sink?.beginLate?.(this.#status, this.#headers, this)
    this.#forgetCollected()
    if (collected) this.#sink?.piece(collected)
    this.#deadline?.look()
  }

  #endHold(): void {
    clearTimeout(this.#holding)
    this.#holding = undefined
  }

  onRequestUpgrade(_: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders, to: Duplex): void {
    this.answeredAt = this.#heard()
    this.#streaming = true
    this.#deadline?.stop()
    this.#settle(this.#sink?.switched?.(headers, to), { kind: 'streamed', status })
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#heard()
    if (this.#streaming) {
      this.#sink?.piece(chunk)
      return
    }
    if (this.#holding && (this.#collected?.size ?? 0) + chunk.length > MAX_HELD) return this.#streamFrom(chunk)
    const fault = this.#collect(chunk)
    if (!fault) return
    if (this.#holding) return this.#streamFrom(chunk)
    controller.abort((this.#abortedBy = fault))
  }

  #streamFrom(chunk: Buffer): void {
    this.#streamLate()
    this.#sink?.piece(chunk)
  }

  #heard(): number {
    return (this.#heardAt = this.#node.heardAtMs = performance.now())
  }

  /** Takes a piece of an answer that is collected, or says why not. */
  #collect(chunk: Buffer): GatewayFault | undefined {
    const collected = (this.#collected ??= new Collector(announcedBytes(this.#headers, this.#maxBytes)))
    const size = collected.size + chunk.length
    if (size > this.#maxBytes) return new GatewayFault('ERR_NODE_BROKE', 'The answer of the node is too large')
    if (size <= this.#alwaysBytes) {
      this.#memory?.growAnyway(chunk.length)
    } else {
      const refusal = this.#memory?.grow(chunk.length)
      if (refusal) return answerRefused(refusal)
    }
    collected.push(chunk)
    return undefined
  }

  #forgetCollected(): void {
    if (!this.#collected) return
    this.#memory?.shrink(this.#collected.size)
    this.#collected.drop()
  }

  onResponseEnd(): void {
    this.#deadline?.stop()
    this.#endHold()
    if (this.#streaming) {
      this.#settle(this.#sink?.end(), { kind: 'streamed', status: this.#status })
      return
    }
    const body = this.#collected?.take() ?? Buffer.alloc(0)
    this.#resolve({ kind: 'answer', answer: { status: this.#status, headers: this.#headers, body } })
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#repeatable && !this.#abortedBy && isReuseRace(error)) return this.#sendAgain(this.#repeatable)
    this.#deadline?.stop()
    this.#endHold()
    this.#forgetCollected()
    const fault = this.#abortedBy ?? faultOfTransport(error, this.#sent, this.answeredAt > 0)
    this.#settle(this.#streaming ? this.#sink?.broke(fault) : undefined, {
      kind: 'fault',
      fault,
      refused: isRefused(error),
    })
  }

  #sendAgain({ by, node, request }: Repeatable): void {
    this.#repeatable = undefined
    this.#isRepeated = true
    this.#controller = undefined
    this.#sent = false
    this.#heardAt = performance.now()
    this.#collectedBy = Infinity
    by.onFreshConnection(node, request, this)
  }

  #settle(sinkIsDone: void | Promise<void>, result: AttemptResult): void {
    if (!sinkIsDone) return this.#resolve(result)
    void sinkIsDone.then(
      () => this.#resolve(result),
      // A try that never settled would hold its place for ever.
      (cause: unknown) => {
        const fault = cause instanceof GatewayFault ? cause : new GatewayFault('ERR_INTERNAL', undefined, { cause })
        this.#resolve({ kind: 'fault', fault, refused: false })
      },
    )
  }
}

/** The length of an answer, where it says one that may be collected; else 0. */
function announcedBytes({ 'content-length': length }: IncomingHttpHeaders, maxBytes: number): number {
  const bytes = Number(length ?? 0)
  return bytes <= maxBytes ? bytes : 0
}

/** Sends a request and collects the whole answer. */
export async function collect(
  transport: Transport,
  node: TrackedNode,
  request: BackendRequest,
  options?: AttemptOptions,
): Promise<CollectResult> {
  const attempt = new Attempt(undefined, options)
  transport.dispatch(node, request, attempt)
  return (await attempt.result) as CollectResult
}
