import type { Request, Response } from 'express'
import { createProxyMiddleware, type Plugin, type RequestHandler } from 'http-proxy-middleware'
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Fleet } from '../fleet/fleet.ts'
import { verdictOf } from '../dispatch/judge.ts'
import type { Lease } from '../dispatch/lease.ts'
import type { Selector } from '../dispatch/selector.ts'
import { GatewayFault } from '../faults.ts'
import { contextOf } from '../http/context.ts'
import { toFault } from '../http/errors.ts'
import type { Upgrade } from '../http/upgrades.ts'
import { memoryOf } from '../http/requestMemory.ts'
import type { Answer, AnswerSink, Flow } from './attempt.ts'
import { ClientSink, type StreamTap } from './clientSink.ts'
import { Tries, type Exchange } from './exchange.ts'
import { headersForClient } from './headers.ts'
import { Leaving } from './leaving.ts'
import type { Transport } from './transport.ts'
import { Tunnels } from './tunnels.ts'
import { tryNodes, type Outcome } from './tryNodes.ts'

/** An exchange that a client waits for, and what is to be done with its answer. */
export interface ClientExchange extends Exchange {
  /** Streams the answer as it comes, watched by the tap; without one it is collected first. */
  readonly tap?: (lease: Lease) => StreamTap
  /** Whether a client that leaves ends the work at the node, at once. Submissions go on without their client. */
  readonly cancelsWithClient: boolean
  /** Gets a collected answer before the client does; what it returns is sent. May hand the lease over. */
  onAnswer?(answer: Answer, lease: Lease): Answer | Promise<Answer>
  /** What the client asks for besides: another protocol on its connection. */
  readonly upgrade?: Upgrade
  /** A streamed answer has ended: complete, broken off, or left by its client. May hand the lease over. */
  onStreamEnd?(lease: Lease, how: StreamEnd): void
}

type StreamEnd = 'complete' | 'broken' | 'left'

export interface ForwarderOptions {
  readonly fleet: Fleet
  readonly selector: Selector
  readonly transport: Transport
}

/**
 * One request on its way through http-proxy-middleware, to which it stands in for the request itself. All that this looks at is
 * the URL, to see whether it shall proxy it; our routes have seen to that, and an empty one spares it parsing.
 */
interface Forwarding {
  readonly url: ''
  readonly req: Request
  readonly exchange: ClientExchange
}

/** A client's exchange while backends are tried. */
interface Underway {
  readonly req: Request
  readonly res: Response
  readonly exchange: ClientExchange
  readonly tries: Tries
  readonly leaving: Leaving
}

/**
 * http-proxy-middleware wants a target; where a request really goes is decided anew for each try. It would parse a string
 * once a request.
 */
const NOWHERE = new URL('http://node.invalid')

/** 101 Switching Protocols */
const SWITCHED = 101

/**
 * The proxy layer: http-proxy-middleware, with undici as its transport. A plugin replaces the proxy server's `web`, which
 * knows neither time-outs from resets nor a second node. WebSockets go the same way: its own `ws` ends the client's connection
 * without an answer where a node cannot be reached, and passes every header on.
 */
export class Forwarder {
  readonly #options: ForwarderOptions
  readonly #middleware: RequestHandler<IncomingMessage, ServerResponse>
  readonly #tunnels = new Tunnels()

  constructor(options: ForwarderOptions) {
    this.#options = options
    const overUndici: Plugin = (proxyServer) => {
      proxyServer.web = (forwarding, res) => this.#web(forwarding as unknown as Forwarding, res as Response)
    }
    this.#middleware = createProxyMiddleware({
      pathFilter: () => true,
      target: NOWHERE,
      plugins: [overUndici],
      // The default plugins answer errors in plain text and log each request.
      ejectPlugins: true,
    })
  }

  /** Forwards a request. Rejects with a fault while nothing of an answer was written; afterwards a failure cuts the connection. */
  async forward(req: Request, res: Response, exchange: ClientExchange): Promise<void> {
    const forwarding: Forwarding = { url: '', req, exchange }
    let failure: unknown
    await this.#middleware(forwarding as unknown as IncomingMessage, res, (error) => {
      failure = error ?? new GatewayFault('ERR_INTERNAL')
    })
    if (failure !== undefined) throw toFault(failure)
  }

  /** Ends the connections that speak another protocol. */
  close(): void {
    this.#tunnels.close()
  }

  async #web({ req, exchange }: Forwarding, res: Response): Promise<void> {
    const { fleet, selector } = this.#options
    const tries = new Tries(exchange, fleet, selector)
    const leaving = new Leaving(res, exchange.cancelsWithClient)
    const underway = { req, res, exchange, tries, leaving }
    const { tap } = exchange
    const outcome = await tryNodes(this.#options, exchange, tries, {
      memory: memoryOf(req).answer,
      onAttempt: (attempt) => leaving.ends(attempt),
      ...(tap && { sink: (lease) => this.#sink(underway, lease, tap(lease)) }),
    })
    leaving.forget()
    await this.#conclude(underway, outcome)
  }

  #sink({ req, res, exchange, tries, leaving }: Underway, lease: Lease, tap: StreamTap): AnswerSink {
    const { fleet } = this.#options
    const abort = (error: unknown): void => leaving.abort(toFault(error))
    const sink = new ClientSink({ res, nodeName: lease.node.name, tap, abort })
    const context = contextOf(req)
    const startedAt = performance.now()
    const broke = async (fault: GatewayFault): Promise<void> => {
      await sink.broke(fault)
      exchange.onStreamEnd?.(lease, fault.code === 'ERR_CLIENT_GONE' ? 'left' : 'broken')
    }
    const { elsewhere, model } = exchange
    const judged = (status: number): void => lease.judged(verdictOf(lease.node, status, model), status)
    const begin = (status: number, headers: IncomingHttpHeaders, flow: Flow): boolean => {
      // Noted before anything is written: the request is reported as soon as its answer has closed.
      context.node = lease.node.name
      context.tries = tries.tried.size
      context.firstByteSeconds = (performance.now() - startedAt) / 1000
      const isTaken = elsewhere?.holds(status, lease.node) !== true && sink.begin(status, headers, flow)
      if (!isTaken) return false
      judged(status)
      // Where the node is ejected or on trial, that would else last as long as the answer does. A trusted one is not told
      // of yet: one that breaks off each answer would then never fail several times in a row.
      if (!lease.hasRefused && !lease.node.load.admits(fleet.now())) fleet.answered(lease.node, { tookWork: true })
      return true
    }
    const takeLate = (...head: Parameters<AnswerSink['begin']>): void => {
      judged(head[0])
      sink.begin(...head)
    }
    const beginLate = elsewhere && takeLate
    const { upgrade } = exchange
    const switched = async (headers: IncomingHttpHeaders, backend: Duplex): Promise<void> => {
      context.node = lease.node.name
      context.tries = tries.tried.size
      context.firstByteSeconds = (performance.now() - startedAt) / 1000
      judged(SWITCHED)
      fleet.answered(lease.node, { tookWork: true })
      // From here on the connection is not HTTP: its end is for the tunnel to see.
      leaving.forget()
      if (upgrade) await this.#tunnels.join(res, upgrade, { headers, backend, nodeName: lease.node.name })
    }
    return {
      begin,
      ...(upgrade && { switched }),
      ...(beginLate && { beginLate }),
      piece: (chunk) => sink.piece(chunk),
      end: () => {
        const ended = sink.end()
        if (!ended) return
        return ended.catch(async (error: unknown) => {
          const fault = toFault(error)
          await broke(fault)
          throw fault
        })
      },
      broke,
    }
  }

  async #conclude({ req, res, exchange, tries }: Underway, outcome: Outcome): Promise<void> {
    const context = contextOf(req)
    context.tries = tries.tried.size
    if (outcome.kind === 'fault') {
      context.node = outcome.nodeName
      context.fault = outcome.fault
      if (res.headersSent) return
      throw outcome.fault
    }
    if (outcome.kind === 'refused') {
      context.node = outcome.nodeName
      return writeAnswer(res, outcome.answer, outcome.nodeName)
    }
    const { lease } = outcome
    context.node = lease.node.name
    context.firstByteSeconds = outcome.firstByteSeconds
    if (outcome.kind === 'streamed') {
      try {
        exchange.onStreamEnd?.(lease, 'complete')
      } finally {
        if (res.statusCode >= 500) lease.node.counts.errors++
        // How long a client keeps a connection says nothing of how fast the node works.
        const outcome = res.statusCode === SWITCHED ? 'cancelled' : res.statusCode < 400 ? 'success' : 'pushback'
        lease.exchangeEnded(outcome)
      }
      return
    }
    try {
      const answer = (await exchange.onAnswer?.(outcome.answer, lease)) ?? outcome.answer
      writeAnswer(res, answer, lease.node.name)
    } finally {
      // A refusal, such as a 4xx, took no service: it must not make the node look fast.
      lease.exchangeEnded(outcome.answer.status < 400 ? 'success' : 'pushback')
    }
  }
}

/** Larger answers are not worth a copy. */
const MOST_JOINED_BYTES = 4096

/** Sends a collected answer; a client that has left gets nothing, and nothing is wrong with that. */
export function writeAnswer(res: ServerResponse, answer: Answer, nodeName: string | undefined): void {
  if (res.headersSent || res.destroyed) return
  const headers = headersForClient(answer.headers, res)
  if (nodeName !== undefined) headers['x-infernet-node'] = nodeName
  headers['content-length'] = String(answer.body.length)
  res.writeHead(answer.status, headers)
  // As a string it joins the head, and both leave in one write. Latin-1 keeps every byte.
  if (answer.body.length <= MOST_JOINED_BYTES) res.end(answer.body.toString('latin1'), 'latin1')
  else res.end(answer.body)
}
