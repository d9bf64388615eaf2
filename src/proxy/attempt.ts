import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import type { TrackedNode } from '../fleet/node.ts'
import { GatewayFault } from '../faults.ts'
import { faultOfTransport, isRefused } from './attemptFaults.ts'
import type { FlatHeaders } from './headers.ts'
import type { Transport } from './transport.ts'

/** One request as it goes to one backend. */
export interface BackendRequest {
  readonly method: 'GET' | 'POST' | 'PUT'
  readonly path: string
  readonly headers: FlatHeaders
  readonly body: Buffer | null
}

/** A backend's answer, read to its end. */
export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** Takes an answer piece by piece. */
export interface AnswerSink {
  /** Whether an answer with this head is taken; otherwise it is collected. */
  begin(status: number, headers: IncomingHttpHeaders, flow: Flow): boolean
  piece(chunk: Buffer): void
  /** The answer is complete. The try ends when this is settled; it must not reject. */
  end(): void | Promise<void>
  /** The answer broke off after `begin`. The try ends when this is settled; it must not reject. */
  broke(fault: GatewayFault): void | Promise<void>
}

/** Backpressure towards the backend. */
export interface Flow {
  pause(): void
  resume(): void
}

export type AttemptResult =
  | { readonly kind: 'answer'; readonly answer: Answer }
  | { readonly kind: 'streamed' }
  | { readonly kind: 'fault'; readonly fault: GatewayFault; readonly refused: boolean }

/** A collected answer larger than this is given up, bytes. */
const MAX_COLLECTED = 64_000_000

/** One try at one node. It either streams into its sink or collects the answer, and settles exactly once. */
export class Attempt implements Dispatcher.DispatchHandler {
  readonly result: Promise<AttemptResult>
  /** Monotonic ms of the first byte of the answer; 0 before. */
  answeredAt = 0
  /** Monotonic ms when the node was last heard, or the try began. */
  heardAt = performance.now()
  #resolve!: (result: AttemptResult) => void
  #controller: Dispatcher.DispatchController | undefined
  #sent = false
  #abortedBy: GatewayFault | undefined
  #sink: AnswerSink | undefined
  #streaming = false
  #status = 0
  #headers: IncomingHttpHeaders = {}
  readonly #chunks: Buffer[] = []
  #size = 0
  readonly #maxBytes: number

  constructor(sink?: AnswerSink, maxBytes = MAX_COLLECTED) {
    this.#sink = sink
    this.#maxBytes = maxBytes
    this.result = new Promise((resolve) => (this.#resolve = resolve))
  }

  /** Whether the request was handed to a connection: past that nobody can say what the node has seen. */
  get sent(): boolean {
    return this.#sent
  }

  /** Ends the try at once, towards the node too. */
  abort(fault: GatewayFault): void {
    if (this.#abortedBy) return
    this.#abortedBy = fault
    if (this.#controller) this.#controller.abort(fault)
    // Still waiting for a connection: nothing was sent, and nothing will be.
    else this.#resolve({ kind: 'fault', fault, refused: false })
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#abortedBy) controller.abort(this.#abortedBy)
    else this.#sent = true
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return
    this.answeredAt = this.heardAt = performance.now()
    this.#status = status
    this.#headers = headers
    this.#streaming = this.#sink?.begin(status, headers, controller) === true
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.heardAt = performance.now()
    if (this.#streaming) {
      this.#sink?.piece(chunk)
      return
    }
    this.#size += chunk.length
    if (this.#size <= this.#maxBytes) this.#chunks.push(chunk)
    else controller.abort((this.#abortedBy = new GatewayFault('ERR_NODE_BROKE', 'The answer of the node is too large')))
  }

  onResponseEnd(): void {
    if (this.#streaming) {
      this.#settle(this.#sink?.end(), { kind: 'streamed' })
      return
    }
    const body = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks, this.#size)
    this.#resolve({ kind: 'answer', answer: { status: this.#status, headers: this.#headers, body } })
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    const fault = this.#abortedBy ?? faultOfTransport(error, this.#sent, this.answeredAt > 0)
    this.#settle(this.#streaming ? this.#sink?.broke(fault) : undefined, {
      kind: 'fault',
      fault,
      refused: isRefused(error),
    })
  }

  #settle(sinkIsDone: void | Promise<void>, result: AttemptResult): void {
    if (sinkIsDone) void sinkIsDone.then(() => this.#resolve(result))
    else this.#resolve(result)
  }
}

export interface CollectOptions {
  /** For the whole exchange. */
  readonly timeoutSeconds?: number
  /** Until the answer begins, and between two pieces of it. */
  readonly silenceSeconds?: number
  readonly maxBytes?: number
}

/** Sends a request and collects the whole answer; for calls of the gateway's own. */
export function collect(
  transport: Transport,
  node: TrackedNode,
  request: BackendRequest,
  { timeoutSeconds, silenceSeconds, maxBytes }: CollectOptions = {},
): Promise<AttemptResult> {
  const attempt = new Attempt(undefined, maxBytes)
  transport.dispatch(node, request, attempt)
  if (timeoutSeconds === undefined && silenceSeconds === undefined) return attempt.result
  const stopWatching = watch(attempt, timeoutSeconds ?? Infinity, silenceSeconds ?? Infinity)
  return attempt.result.finally(stopWatching)
}

/** Ends a try that takes too long. Returns what ends the watch. */
function watch(attempt: Attempt, timeoutSeconds: number, silenceSeconds: number): () => void {
  const endsAt = performance.now() + timeoutSeconds * 1000
  let timer: NodeJS.Timeout
  let isWatching = true
  const leftMs = (): number => Math.min(endsAt, attempt.heardAt + silenceSeconds * 1000) - performance.now()
  const look = (isSecondLook: boolean): void => {
    if (!isWatching) return
    if (leftMs() > 0) timer = setTimeout(look, leftMs(), false)
    // Where this process itself stood still, what came meanwhile is read first.
    else if (!isSecondLook) setImmediate(look, true)
    else attempt.abort(new GatewayFault(attempt.answeredAt > 0 ? 'ERR_NODE_BROKE' : 'ERR_NODE_SILENT'))
  }
  look(false)
  return () => {
    isWatching = false
    clearTimeout(timer)
  }
}
