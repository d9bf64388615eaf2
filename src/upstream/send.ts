import type { ServerResponse } from 'node:http'
import { nextTurn } from '../base/turns.ts'
import { GatewayFault } from '../faults.ts'
import { toFault } from '../http/errors.ts'
import type { Dispatcher } from '../dispatch/dispatcher.ts'
import type { Lease } from '../dispatch/lease.ts'
import { isPushback } from '../dispatch/refusal.ts'
import type { TrackedNode } from '../fleet/node.ts'
import type { RequestContext } from '../http/context.ts'
import { tellQueueTime } from '../http/queueTime.ts'
import type { Reservation } from '../base/memory/budget.ts'
import type { Answer, AnswerSink, BackendRequest } from './answer.ts'
import { Attempt, type AttemptOptions, type AttemptResult, type CollectResult } from './attempt.ts'
import { isListenedTo, tellEnd, tellStart, type AttemptStart } from './diagnostics.ts'
import type { Exchange } from './exchange.ts'
import { Leaving } from './leaving.ts'
import { Patience } from './patience.ts'
import { RetryState } from './retryState.ts'
import { settle, settleCall, type AnswerEnd, type AttemptEnd, type FaultEnd } from './settle.ts'
import type { Transport } from './transport.ts'

/** What came of an exchange. Every lease is settled; of work that goes on (`Exchange.work`) the end is for whoever has the answer. */
export type Outcome = {
  /** The backend that answered, or was asked last. */
  readonly nodeName: string | undefined
  /** Backends that were asked. */
  readonly tries: number
  /** How long it waited for places at them. */
  readonly queueSeconds: number
  /** How long the last of them took. */
  readonly serviceSeconds: number
} & (
  | { readonly kind: 'answer'; readonly answer: Answer; readonly lease: Lease; readonly firstByteSeconds: number }
  | { readonly kind: 'streamed'; readonly lease: Lease; readonly firstByteSeconds: number }
  /** None took it, and these are the words of one. `routing`: see `Lease.routing`. */
  | { readonly kind: 'refused'; readonly answer: Answer; readonly routing: string | undefined }
  /** `sent`: whether the last backend may have begun to work on it. */
  | { readonly kind: 'fault'; readonly fault: GatewayFault; readonly sent: boolean }
)

/** Without a sink nothing is streamed. */
export type CollectedOutcome = Exclude<Outcome, { kind: 'streamed' }>

/** What came of a call, and how it counted. */
export type CallResult =
  | { readonly kind: 'fault'; readonly fault: GatewayFault; readonly end: FaultEnd }
  | { readonly kind: 'answer'; readonly answer: Answer; readonly end: AnswerEnd }

export interface SendOptions {
  /** Aborts, with a fault as its reason, when nobody wants a place any more; default: never. */
  readonly signal?: AbortSignal
  /** Where tries go on that another call began. */
  readonly state?: RetryState
  /** Whose client's leaving ends a wait for a place; default: only `signal` does. */
  readonly client?: ServerResponse
  /** A fresh sink for each try; without one the answer is collected. */
  readonly sink?: (lease: Lease) => AnswerSink
  /** Told of each try as it starts, so that a client's leaving can end it. */
  readonly onAttempt?: (attempt: Attempt) => void
  /** Where collected answers are counted. */
  readonly memory?: Reservation | undefined
}

/** Nobody takes it back: submissions go on without their client. */
const NEVER: AbortSignal = new AbortController().signal

/** The way to the backends: tries one after the other until one answers, as far as the retry rule allows, and settles each try. */
export class Upstream {
  readonly #dispatcher: Dispatcher
  readonly #transport: Transport

  constructor(dispatcher: Dispatcher, transport: Transport) {
    this.#dispatcher = dispatcher
    this.#transport = transport
  }

  /** Sends an exchange. Never rejects: every failure is an outcome. */
  send(exchange: Exchange, options?: Omit<SendOptions, 'sink'>): Promise<CollectedOutcome>
  send(exchange: Exchange, options: SendOptions): Promise<Outcome>
  async send(exchange: Exchange, options: SendOptions = {}): Promise<Outcome> {
    const { state = this.begin(exchange) } = options
    let nodeName: string | undefined
    for (;;) {
      let lease: Lease | undefined
      try {
        lease = state.take() ?? (state.mayWait ? await waitForPlace(state, options) : undefined)
      } catch (error) {
        // The queue has no room for it, or it has waited for long enough, or its client has left.
        return this.#concluded(state, state.conclusionAfterWait(toFault(error)), nodeName)
      }
      if (!lease) return this.#concluded(state, state.conclusion(), nodeName)
      nodeName = lease.node.name
      const outcome = await this.#try(exchange, state, lease, options)
      if (outcome) return outcome
    }
  }

  /**
   * The gateway ends: what still waits for a place in the queue is refused, and so is what waits for a backend that is away. Resolves
   * when the refusals are on their way.
   */
  async stopWaiting(): Promise<void> {
    const { queue, fleet } = this.#dispatcher
    queue?.close()
    fleet.returns.wakeAll()
    await nextTurn()
  }

  /** For exchanges that wait together for backends that are away. */
  newPatience(): Patience {
    return new Patience(this.#dispatcher.restarts.outageWaitSeconds)
  }

  /** The state of an exchange that was not sent yet, for those who send by themselves, or in several calls. */
  begin(exchange: Exchange, patience?: Patience): RetryState {
    return new RetryState(exchange, this.#dispatcher, patience)
  }

  /**
   * Sends one call that carries the work of several leases, all at one backend, and collects its answer. It is settled for the
   * backend; what becomes of each lease says its holder, by `settlePart`. Never rejects.
   */
  async call(
    leases: readonly Lease[],
    request: BackendRequest,
    options: AttemptOptions & { readonly attempt: number },
  ): Promise<CallResult> {
    const { node, kind = '' } = leases[0] as Lease
    const attempt = new Attempt(undefined, options)
    const start = isListenedTo() ? announcing(node, options.attempt, kind) : undefined
    const startedAt = performance.now()
    let result: CollectResult
    try {
      this.#dispatch(node, request, attempt, start)
      result = (await attempt.result) as CollectResult
    } catch (error) {
      result = { kind: 'fault', fault: toFault(error), refused: false }
    }
    const seconds = (performance.now() - startedAt) / 1000
    const told: CallResult =
      result.kind === 'fault'
        ? { kind: 'fault', fault: result.fault, end: result }
        : { kind: 'answer', answer: result.answer, end: callEnd(result.answer.status, seconds) }
    settleCall(leases, told.end)
    if (start) tellEnd({ start, end: told.end, sent: attempt.sent })
    return told
  }

  /** One try at one backend; `undefined` where another is to follow. Whatever happens, the lease is settled. */
  async #try(exchange: Exchange, state: RetryState, lease: Lease, options: SendOptions): Promise<Outcome | undefined> {
    const { node } = lease
    const startedAt = performance.now()
    const start = isListenedTo() ? startOf(state, lease) : undefined
    let attempt: Attempt | undefined
    let result: AttemptResult
    let firstByteSeconds = 0
    let end: AttemptEnd
    try {
      attempt = new Attempt(options.sink?.(lease), options)
      attempt.acceptsSecondRun = exchange.retry.mayRunTwice
      options.onAttempt?.(attempt)
      this.#dispatch(node, exchange.requestFor(node), attempt, start)
      result = await attempt.result
      if (attempt.answeredAt > 0) firstByteSeconds = (attempt.answeredAt - startedAt) / 1000
      end = endOf(exchange, state, lease, result, firstByteSeconds)
    } catch (error) {
      end = result = { kind: 'fault', fault: toFault(error), refused: false }
    }
    state.serviceSeconds = (performance.now() - startedAt) / 1000
    settle(lease, end)
    const { sent = false, isStreaming = false, wasSent = false } = attempt ?? {}
    if (start) tellEnd({ start, end, sent })

    const common = { nodeName: node.name, ...spent(state) }
    if (result.kind === 'streamed') return { kind: 'streamed', lease, firstByteSeconds, ...common }
    if (result.kind === 'fault') {
      const { fault } = result
      if (state.mayFollowFault(fault, { isStreaming, wasSent })) return undefined
      const conclusion = state.conclusionAfter(fault, isStreaming)
      if (conclusion === fault) return { kind: 'fault', fault, sent, ...common }
      return this.#concluded(state, conclusion, node.name)
    }
    const { step } = end as AnswerEnd
    if (step === 'pass') return { kind: 'answer', answer: result.answer, lease, firstByteSeconds, ...common }
    return state.mayFollow(step) ? undefined : this.#concluded(state, state.conclusion(), node.name)
  }

  #dispatch(node: TrackedNode, request: BackendRequest, attempt: Attempt, start: AttemptStart | undefined): void {
    this.#transport.dispatch(node, start ? announced(request, start) : request, attempt)
  }

  #concluded(state: RetryState, end: ReturnType<RetryState['conclusion']>, asked: string | undefined): Outcome {
    if (end instanceof GatewayFault) return { kind: 'fault', fault: end, sent: false, nodeName: asked, ...spent(state) }
    const { answer, node } = end
    return { kind: 'refused', answer, routing: state.routingOf(node), nodeName: node.name, ...spent(state) }
  }
}

/** Waits for a place, but no longer than a client is there who wants the answer. */
async function waitForPlace(state: RetryState, { signal = NEVER, client }: SendOptions): Promise<Lease | undefined> {
  if (!client) return state.acquire(signal)
  const leaving = new Leaving(client)
  try {
    return await state.acquire(leaving.signal)
  } finally {
    leaving.forget()
  }
}

/** Why the backend was chosen whose answer goes to the client, where answers tell: see `Lease.routing`. */
export function routingOf(outcome: Exclude<CollectedOutcome, { kind: 'fault' }>): string | undefined {
  return outcome.kind === 'answer' ? outcome.lease.routing : outcome.routing
}

/** Notes an outcome for logs and metrics, and tells the client how long it waited for places. */
export function noteOutcome(context: RequestContext, outcome: Outcome, res: ServerResponse): void {
  if (!res.headersSent) tellQueueTime(res, outcome.queueSeconds)
  context.node = outcome.nodeName
  context.tries = outcome.tries
  context.queueSeconds = outcome.queueSeconds
  context.serviceSeconds = outcome.serviceSeconds
  if (outcome.kind === 'fault') context.fault = outcome.fault
  else if (outcome.kind !== 'refused') context.firstByteSeconds = outcome.firstByteSeconds
}

function spent({
  attempts,
  queueSeconds,
  serviceSeconds,
}: RetryState): Pick<Outcome, 'tries' | 'queueSeconds' | 'serviceSeconds'> {
  return { tries: attempts, queueSeconds, serviceSeconds }
}

function endOf(
  { work, model }: Exchange,
  state: RetryState,
  { node }: Lease,
  result: AttemptResult,
  firstByteSeconds: number,
): AttemptEnd {
  if (result.kind === 'fault') return result
  const isStreamed = result.kind === 'streamed'
  const status = isStreamed ? result.status : result.answer.status
  const step = isStreamed ? 'pass' : state.stepAfter(result.answer, node)
  return { kind: 'answer', status, step, firstByteSeconds, work, model }
}

function callEnd(status: number, firstByteSeconds: number): AnswerEnd {
  const step = isPushback(status) ? 'pushback' : 'pass'
  return { kind: 'answer', status, step, firstByteSeconds, work: 'goesOn' }
}

function startOf(state: RetryState, { node }: Lease): AttemptStart {
  return announcing(node, state.attempts, state.asked.kind)
}

/** What its request is, is known when it is told. */
function announcing(node: TrackedNode, attempt: number, kind: string): AttemptStart {
  return { node, attempt, kind, traceparent: undefined, request: { method: 'GET', path: '' }, requestId: undefined }
}

function announced(request: BackendRequest, start: AttemptStart): BackendRequest {
  const headers = tellStart(start, request)
  return headers === request.headers ? request : { ...request, headers }
}
