import {
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Attributes,
  type Context,
  type Span,
} from '@opentelemetry/api'
import {
  ATTR_CLIENT_ADDRESS,
  ATTR_ERROR_TYPE,
  ATTR_HTTP_REQUEST_METHOD,
  ATTR_HTTP_REQUEST_RESEND_COUNT,
  ATTR_HTTP_RESPONSE_STATUS_CODE,
  ATTR_HTTP_ROUTE,
  ATTR_SERVER_ADDRESS,
  ATTR_SERVER_PORT,
  ATTR_URL_PATH,
} from '@opentelemetry/semantic-conventions'
import type { Request, Response } from 'express'
import { AsyncLocalStorage } from 'node:async_hooks'
import { waits, type Wait } from '../../base/waits.ts'
import { withTimeout } from '../../base/withTimeout.ts'
import type { GatewayFault } from '../../faults.ts'
import { contextOf } from '../../http/context.ts'
import { sentStatus } from '../../http/upgrades.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import type { Served } from '../../openai/forward.ts'
import { attemptEnds, attemptStarts, type AttemptSettled, type AttemptStart } from '../../upstream/diagnostics.ts'
import { routeOf } from '../metrics.ts'
import { modelCall, noteAnswer } from './genAi.ts'
import { JobTraces } from './jobTraces.ts'
import type { Tracing } from './sdk.ts'
import { tracedLedger, type TraceWrite } from './tracedLedger.ts'
import { parentOf, traceIdOf, traceparentFor } from './traceParent.ts'
import type { Traces } from './traces.ts'

/** Longest path or name that an attribute holds, characters. */
const MAX_TEXT = 300
/** A collector that does not answer holds the end of the process up no longer than this, seconds. */
const LONGEST_STOP_SECONDS = 5

/** What is traced of one request. */
interface RequestTrace {
  readonly span: Span
  /** In which its children are made. */
  readonly context: Context
  readonly req: Request
  /** It has ended: what goes on from here, such as a timer, is not the request's. */
  isOver: boolean
  /** Its last try, to which its answer belongs. */
  lastTry: Span | undefined
}

/** One span a request, one a try, one a wait, one a write of the ledger. */
export class OtlpTraces implements Traces {
  readonly #tracing: Tracing
  readonly #store: string
  readonly #current = new AsyncLocalStorage<RequestTrace>()
  readonly #traces = new WeakMap<Request, RequestTrace>()
  readonly #tries = new WeakMap<AttemptStart, Span>()
  readonly #jobs = new JobTraces()
  readonly #onTry = (start: unknown): void => this.#tryBegun(start as AttemptStart)
  readonly #onTryEnd = (settled: unknown): void => this.#tryEnded(settled as AttemptSettled)
  readonly #onWait = (wait: unknown): void => this.#waited(wait as Wait)

  /** `store`: what keeps the ledger. */
  constructor(tracing: Tracing, store: string) {
    this.#tracing = tracing
    this.#store = store
    attemptStarts.subscribe(this.#onTry)
    attemptEnds.subscribe(this.#onTryEnd)
    waits.subscribe(this.#onWait)
  }

  begun(req: Request): void {
    const { requestId, clientAddress } = contextOf(req)
    const parent = parentOf(req.headers)
    const { tracer, ids } = this.#tracing
    ids.next = parent ? undefined : traceIdOf(requestId)
    const attributes = {
      [ATTR_HTTP_REQUEST_METHOD]: req.method,
      [ATTR_URL_PATH]: req.path.slice(0, MAX_TEXT),
      [ATTR_CLIENT_ADDRESS]: clientAddress,
      'infernet_gateway.request.id': requestId,
    }
    const within = parent ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT
    const span = tracer.startSpan(req.method, { kind: SpanKind.SERVER, attributes }, within)
    const context = trace.setSpan(within, span)
    contextOf(req).traceId = span.spanContext().traceId
    const request = { span, context, req, isOver: false, lastTry: undefined }
    this.#traces.set(req, request)
    // For all that the handlers of this request do from here on.
    this.#current.enterWith(request)
  }

  ended(req: Request, res: Response): void {
    const request = this.#traces.get(req)
    if (!request) return
    const endedAt = new Date()
    const { span } = request
    const { fault, caller, clientAddress, job, batch, node, tries, model } = contextOf(req)
    const [route, status] = [routeOf(req), sentStatus(req, res)]
    span.updateName(`${req.method} ${route}`)
    span.setAttributes({
      [ATTR_HTTP_ROUTE]: route,
      ...(status > 0 && { [ATTR_HTTP_RESPONSE_STATUS_CODE]: status }),
      ...(caller !== clientAddress && { 'infernet_gateway.caller': caller }),
      ...(job !== undefined && { 'infernet_gateway.job.id': job.slice(0, MAX_TEXT) }),
      ...(batch && { 'infernet_gateway.batch.jobs': batch.jobs }),
      ...(model !== undefined && { 'infernet_gateway.model': model.slice(0, MAX_TEXT) }),
      ...(node !== undefined && { 'infernet_gateway.node': node.slice(0, MAX_TEXT) }),
      ...(tries !== undefined && { 'infernet_gateway.tries': tries }),
    })
    if (fault) noteFault(span, fault, fault.fault.source !== 'client')
    else if (status >= 500) noteStatus(span, status)
    // What a client's leaving ends, such as a wait for a place, does so within this turn.
    if (fault?.code === 'ERR_CLIENT_GONE') setImmediate(() => (request.isOver = true))
    else request.isOver = true
    span.end(endedAt)
  }

  served(served: Served): void {
    const span = this.#current.getStore()?.lastTry
    if (span) noteAnswer(span, served)
  }

  ledger(ledger: Ledger): Ledger {
    return tracedLedger(ledger, this.#traceWrite)
  }

  async stop(seconds: number): Promise<void> {
    attemptStarts.unsubscribe(this.#onTry)
    attemptEnds.unsubscribe(this.#onTryEnd)
    waits.unsubscribe(this.#onWait)
    // Tries that end with their requests do so in the next turn.
    await new Promise((resolve) => setImmediate(resolve))
    const sent = this.#tracing.shutdown().catch(() => undefined)
    await withTimeout(sent, Math.min(seconds, LONGEST_STOP_SECONDS))
  }

  #tryBegun(start: AttemptStart): void {
    const { node, attempt, request } = start
    const running = this.#running()
    const model = running && contextOf(running.req).model
    const call = model === undefined ? undefined : modelCall(request.path, model.slice(0, MAX_TEXT))
    const { hostname, port, protocol } = new URL(node.spec.origin)
    const attributes: Attributes = {
      [ATTR_HTTP_REQUEST_METHOD]: request.method,
      [ATTR_URL_PATH]: request.path.split('?', 1)[0]!.slice(0, MAX_TEXT),
      [ATTR_SERVER_ADDRESS]: hostname,
      [ATTR_SERVER_PORT]: Number(port || (protocol === 'https:' ? 443 : 80)),
      'infernet_gateway.node': node.name.slice(0, MAX_TEXT),
      ...(attempt > 1 && { [ATTR_HTTP_REQUEST_RESEND_COUNT]: attempt - 1 }),
      ...call?.attributes,
    }
    const isItsOwn = running !== undefined && contextOf(running.req).requestId === start.requestId
    // Another run of a job is sent under its id, long after its request.
    const within = (isItsOwn ? undefined : this.#jobs.contextOf(start.requestId)) ?? running?.context ?? ROOT_CONTEXT
    const name = call?.name ?? request.method
    const span = this.#tracing.tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes }, within)
    this.#tries.set(start, span)
    if (running) running.lastTry = span
    start.traceparent = traceparentFor(span.spanContext())
  }

  #tryEnded({ start, end }: AttemptSettled): void {
    const span = this.#tries.get(start)
    if (!span) return
    if (end.kind === 'answer') {
      span.setAttribute(ATTR_HTTP_RESPONSE_STATUS_CODE, end.status)
      // Of a client's call an answer 4xx is an error, too.
      if (end.status >= 400) noteStatus(span, end.status)
    } else noteFault(span, end.fault, end.fault.fault.source !== 'client')
    const endedAt = new Date()
    // What the answer says of itself is told within this turn.
    setImmediate(() => span.end(endedAt))
  }

  #waited({ what, startedAt }: Wait): void {
    const startTime = new Date(Date.now() - (performance.now() - startedAt))
    const within = this.#running()?.context ?? ROOT_CONTEXT
    this.#tracing.tracer.startSpan(`wait for ${what}`, { startTime }, within).end()
  }

  readonly #traceWrite: TraceWrite = async ({ operation, job, run }, inserted) => {
    const running = this.#running()
    const within = this.#jobs.contextOf(job) ?? running?.context ?? ROOT_CONTEXT
    const attributes: Attributes = {
      'db.system.name': this.#store,
      'db.operation.name': operation,
      ...(job !== undefined && { 'infernet_gateway.job.id': job }),
      ...(inserted && { 'db.operation.batch.size': inserted.length }),
    }
    const span = this.#tracing.tracer.startSpan(`ledger ${operation}`, { kind: SpanKind.CLIENT, attributes }, within)
    try {
      const value = await run()
      if (running) for (const { record } of inserted ?? []) this.#jobs.add(record.id, running.span.spanContext())
      if (operation === 'finish' && job !== undefined) this.#jobs.remove(job)
      return value
    } catch (error) {
      const { code = 'error' } = error as NodeJS.ErrnoException
      span.setAttribute(ATTR_ERROR_TYPE, code)
      span.setStatus({ code: SpanStatusCode.ERROR })
      throw error
    } finally {
      span.end()
    }
  }

  /** The request on whose behalf this happens, unless it has ended. */
  #running(): RequestTrace | undefined {
    const request = this.#current.getStore()
    return request?.isOver === false ? request : undefined
  }
}

function noteFault(span: Span, { code }: GatewayFault, isError: boolean): void {
  span.setAttribute(ATTR_ERROR_TYPE, code)
  if (isError) span.setStatus({ code: SpanStatusCode.ERROR, message: code })
}

function noteStatus(span: Span, status: number): void {
  span.setAttribute(ATTR_ERROR_TYPE, String(status))
  span.setStatus({ code: SpanStatusCode.ERROR })
}
