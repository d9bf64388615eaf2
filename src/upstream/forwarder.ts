import type { Request, Response } from 'express'
import type { IncomingHttpHeaders } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Lease } from '../dispatch/lease.ts'
import type { TrackedNode } from '../fleet/node.ts'
import type { GatewayFault } from '../faults.ts'
import { contextOf, type RequestContext } from '../http/context.ts'
import { toFault } from '../http/errors.ts'
import { tellQueueTime } from '../http/queueTime.ts'
import { memoryOf } from '../http/requestMemory.ts'
import type { Upgrade } from '../http/upgrades.ts'
import type { Reservation } from '../base/memory/budget.ts'
import type { AnswerSink, Flow } from './answer.ts'
import type { Attempt } from './attempt.ts'
import { ClientSink, type StreamTap } from './clientSink.ts'
import type { Exchange } from './exchange.ts'
import { Leaving } from './leaving.ts'
import { ProxyMiddleware, type Relayed } from './proxyMiddleware.ts'
import type { RetryState } from './retryState.ts'
import { noteOutcome, routingOf, type Outcome, type SendOptions, type Upstream } from './send.ts'
import { noteHead } from './settle.ts'
import { Tunnels } from './tunnels.ts'
import { writeAnswer } from './writeAnswer.ts'

/** An exchange whose answer is streamed to a client as it comes. A client that leaves ends it at the backend, at once. */
export interface ClientExchange extends Exchange {
  /** Watches the answer of a try in passing; what it does not take is collected first. */
  tap(lease: Lease): StreamTap
  /** What the client asks for besides: another protocol on its connection. */
  readonly upgrade?: Upgrade
}

/**
 * How a client's exchange ended.
 * - `complete`: the answer was streamed to its end.
 * - `collected`: so it was written as a whole, as are answers that the tap did not take, and refusals.
 * - `broken`: the answer broke off after its head was written.
 * - `left`: its client did.
 */
export interface Forwarded {
  readonly how: 'complete' | 'collected' | 'broken' | 'left'
  /** The backend whose answer was streamed. */
  readonly node: TrackedNode | undefined
}

/** Streams the answers of backends to clients. */
export class Forwarder {
  readonly #upstream: Upstream
  readonly #middleware = new ProxyMiddleware()
  readonly #tunnels = new Tunnels()

  constructor(upstream: Upstream) {
    this.#upstream = upstream
  }

  /** Forwards a request. Rejects with a fault while nothing of an answer was written; afterwards a failure cuts the connection. */
  async forward(req: Request, res: Response, exchange: ClientExchange): Promise<Forwarded> {
    const forwarding = new Forwarding(this.#upstream, this.#tunnels, { req, res, exchange })
    await this.#middleware.carry(forwarding, res)
    return forwarding.end
  }

  /** Ends the connections that speak another protocol. */
  close(): void {
    this.#tunnels.close()
  }
}

interface Underway {
  readonly req: Request
  readonly res: Response
  readonly exchange: ClientExchange
}

/** One client's exchange while backends are tried. */
class Forwarding implements Relayed, SendOptions {
  end: Forwarded = { how: 'collected', node: undefined }
  /** Whose answer has begun. */
  node: TrackedNode | undefined
  readonly req: Request
  readonly res: Response
  readonly exchange: ClientExchange
  readonly tunnels: Tunnels
  readonly context: RequestContext
  readonly state: RetryState
  readonly leaving: Leaving
  readonly memory: Reservation
  readonly #upstream: Upstream

  constructor(upstream: Upstream, tunnels: Tunnels, { req, res, exchange }: Underway) {
    this.#upstream = upstream
    this.tunnels = tunnels
    this.req = req
    this.res = res
    this.exchange = exchange
    this.context = contextOf(req)
    this.memory = memoryOf(req).answer
    this.state = upstream.begin(exchange)
    this.leaving = new Leaving(res)
  }

  get signal(): AbortSignal {
    return this.leaving.signal
  }

  sink(lease: Lease): AnswerSink {
    return new TrySink(this, lease)
  }

  onAttempt(attempt: Attempt): void {
    this.leaving.ends(attempt)
  }

  async relay(): Promise<void> {
    const outcome = await this.#upstream.send(this.exchange, this)
    this.leaving.forget()
    noteOutcome(this.context, outcome, this.res)
    this.#conclude(outcome)
  }

  #conclude(outcome: Outcome): void {
    const { res } = this
    if (outcome.kind === 'fault') {
      if (!res.headersSent) throw outcome.fault
      this.end = { how: outcome.fault.code === 'ERR_CLIENT_GONE' ? 'left' : 'broken', node: this.node }
    } else if (outcome.kind === 'streamed') {
      this.end = { how: 'complete', node: this.node }
    } else {
      writeAnswer(res, outcome.answer, outcome.nodeName, routingOf(outcome))
    }
  }
}

/** Takes the answer of one try: what it says is noted at its head, and the client gets the rest. */
class TrySink implements AnswerSink {
  readonly takesLate: boolean
  readonly #forwarding: Forwarding
  readonly #lease: Lease
  readonly #client: ClientSink
  readonly #startedAt = performance.now()

  constructor(forwarding: Forwarding, lease: Lease) {
    const { res, exchange, leaving } = forwarding
    this.#forwarding = forwarding
    this.#lease = lease
    this.takesLate = exchange.retry.elsewhere !== undefined
    const abort = (error: unknown): void => leaving.abort(toFault(error))
    const { node, routing } = lease
    this.#client = new ClientSink({ res, nodeName: node.name, routing, tap: exchange.tap(lease), abort })
  }

  begin(status: number, headers: IncomingHttpHeaders, flow: Flow): boolean {
    const { retry, model } = this.#forwarding.exchange
    this.#noteBegin()
    if (retry.elsewhere?.holds(status, this.#lease.node) === true) return false
    if (!this.#client.begin(status, headers, flow)) return false
    noteHead(this.#lease, status, model)
    return true
  }

  beginLate(status: number, headers: IncomingHttpHeaders, flow: Flow): void {
    noteHead(this.#lease, status, this.#forwarding.exchange.model)
    this.#client.begin(status, headers, flow)
  }

  async switched(headers: IncomingHttpHeaders, backend: Duplex): Promise<void> {
    const { res, exchange, leaving, tunnels, context, state } = this.#forwarding
    const { upgrade, model } = exchange
    const { requestId } = context
    this.#noteBegin()
    noteHead(this.#lease, SWITCHED, model)
    // From here on the connection is not HTTP: its end is for the tunnel to see.
    leaving.forget()
    const { node, routing } = this.#lease
    const { queueSeconds } = state
    const nodeName = node.name
    if (upgrade) await tunnels.join(res, upgrade, { headers, backend, nodeName, routing, requestId, queueSeconds })
  }

  piece(chunk: Buffer): void {
    this.#client.piece(chunk)
  }

  end(): void | Promise<void> {
    const ended = this.#client.end()
    if (!ended) return
    return ended.catch(async (error: unknown) => {
      const fault = toFault(error)
      await this.#client.broke(fault)
      throw fault
    })
  }

  broke(fault: GatewayFault): void | Promise<void> {
    return this.#client.broke(fault)
  }

  /** Noted before anything is written: the request is reported as soon as its answer has closed. */
  #noteBegin(): void {
    const { context, state, res } = this.#forwarding
    tellQueueTime(res, state.queueSeconds)
    const { node } = this.#lease
    this.#forwarding.node = node
    context.node = node.name
    context.tries = state.attempts
    context.queueSeconds = state.queueSeconds
    context.servedSince = this.#startedAt
    context.firstByteSeconds = (performance.now() - this.#startedAt) / 1000
  }
}

/** 101 Switching Protocols */
const SWITCHED = 101
