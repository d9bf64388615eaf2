import { Pool, type Dispatcher } from 'undici'
import type { TrackedNode } from '../fleet/node.ts'
import { createConnector } from './connector.ts'
import { passOverInterimAnswers } from './interimAnswers.ts'

/** A node closes an idle connection after 5 s; ours go first, so that none is used while it closes. */
const IDLE_SOCKET_MS = 4000

/** A node closes a connection after its thousandth request without saying so; ours are replaced before. */
const MAX_REQUESTS_PER_SOCKET = 900

/** Room for what stands in front of a service, cookies and policies, bytes; undici's default is 16 KB. */
const MAX_ANSWER_HEAD = 65_536

export interface SilenceLimits {
  /** From the sending to the first byte of an answer, and to the end of one that is collected. */
  readonly answerTimeoutSeconds: number
  /** Between two pieces of an answer. */
  readonly idleTimeoutSeconds: number
}

export interface TransportOptions extends SilenceLimits {
  readonly connectTimeoutSeconds: number
}

/** Takes an answer, and sees to it that the node is not silent for too long. */
export interface AnswerHandler extends Dispatcher.DispatchHandler {
  /** Told once, before anything else. */
  limitSilence(limits: SilenceLimits): void
}

/** The connections to one origin, at which several nodes may be, or one after the other. */
interface Connections {
  readonly pool: Pool
  /** Who used them last. */
  node: TrackedNode
  /** Our side of the newest one. */
  localAddress: string | undefined
}

/** Keep-alive connections to all nodes: one pool for each origin, grown as needed. */
export class Transport {
  readonly #connections = new Map<string, Connections>()
  readonly #options: TransportOptions

  constructor(options: TransportOptions) {
    this.#options = options
  }

  /** Sends one request to one node. Every outcome is told to the handler, none is thrown. */
  dispatch(node: TrackedNode, request: Dispatcher.DispatchOptions, handler: AnswerHandler): void {
    handler.limitSilence(this.#options)
    this.#connectionsTo(node).pool.dispatch(request, handler)
  }

  /** Cuts every connection. */
  async close(): Promise<void> {
    await Promise.all([...this.#connections.values()].map(({ pool }) => pool.destroy()))
    this.#connections.clear()
  }

  /** Lets go of the connections to origins that nobody lists any more. */
  keepOnly(origins: ReadonlySet<string>): void {
    for (const [origin, { pool }] of this.#connections) {
      if (origins.has(origin)) continue
      this.#connections.delete(origin)
      void pool.close()
    }
  }

  #connectionsTo(node: TrackedNode): Connections {
    const { origin } = node.spec
    let connections = this.#connections.get(origin)
    if (!connections) {
      const onConnect = (localAddress: string | undefined): void => {
        if (!connections) return
        connections.localAddress = localAddress
        connections.node.localAddress = localAddress
      }
      connections = { pool: this.#createPool(origin, onConnect), node, localAddress: undefined }
      this.#connections.set(origin, connections)
    } else if (connections.node !== node) {
      connections.node = node
      node.localAddress = connections.localAddress
    }
    return connections
  }

  #createPool(origin: string, onConnect: (localAddress: string | undefined) => void): Pool {
    const connect = createConnector({ timeoutMs: this.#options.connectTimeoutSeconds * 1000 })
    return new Pool(origin, {
      connect: (options, callback) =>
        connect(options, (...result) => {
          const [error, socket] = result
          if (!error) {
            passOverInterimAnswers(socket)
            onConnect(socket.localAddress)
          }
          callback(...result)
        }),
      allowH2: false,
      pipelining: 1,
      maxRequestsPerClient: MAX_REQUESTS_PER_SOCKET,
      maxHeaderSize: MAX_ANSWER_HEAD,
      keepAliveTimeout: IDLE_SOCKET_MS,
      keepAliveMaxTimeout: IDLE_SOCKET_MS,
      // The handler's own are exact; undici's can be a second late.
      headersTimeout: 0,
      bodyTimeout: 0,
    })
  }
}
