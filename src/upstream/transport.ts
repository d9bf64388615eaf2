import { Pool, type Dispatcher } from 'undici'
import { proxyAuthorization, type ForwardProxies, type ForwardProxy } from '../fleet/forwardProxies.ts'
import type { TrackedNode } from '../fleet/node.ts'
import type { BackendRequest } from './answer.ts'
import { createConnector } from './connector.ts'
import { IdleLimit, watchCloses } from './idleCloses.ts'
import { passOverInterimAnswers } from './interimAnswers.ts'
import { createTunnelConnector } from './tunnel.ts'

/** A node closes an idle connection after 5 s; ours go first, so that none is used while it closes. */
const IDLE_SOCKET_MS = 4000
/** Where a backend says after which time it closes (`Keep-Alive: timeout=2`), ours go this much sooner, ms. */
const IDLE_MARGIN_MS = 500

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
  readonly proxies?: ForwardProxies | undefined
}

/** Who was heard, and when. */
export interface Heard {
  /** Monotonic ms. */
  heardAtMs: number
}

/** Takes an answer, and sees to it that the node is not silent for too long. */
export interface AnswerHandler extends Dispatcher.DispatchHandler {
  /** Told once, before anything else; `node` is marked whenever it is heard. */
  limitSilence(limits: SilenceLimits, node: Heard): void
  /** Told once, before the request is sent: `repeat.onFreshConnection(…)` sends it once more. */
  repeatsBy(repeat: Repeat, node: TrackedNode, request: BackendRequest): void
}

/** Sends a request that met the end of an idle connection once more. */
export interface Repeat {
  onFreshConnection(node: TrackedNode, request: BackendRequest, handler: AnswerHandler): void
}

/** The connections to one origin, at which several nodes may be, or one after the other. */
interface Connections {
  pool: Pool
  /** Each of its connections serves one request. Made when it is needed. */
  fresh: Pool | undefined
  /** For requests that ask for another protocol; a proxy gives tunnels for these, whatever the scheme. Made when it is needed. */
  switching: Pool | undefined
  readonly idle: IdleLimit
  /** Through which they go, if any. */
  readonly proxy: ForwardProxy | undefined
  /** Who used them last. */
  node: TrackedNode
  /** Our side of the newest one. */
  localAddress: string | undefined
}

interface PoolKind {
  readonly maxRequests?: number
  readonly maySwitch?: boolean
}

const ONE_REQUEST: PoolKind = { maxRequests: 1 }
const SWITCHES_PROTOCOL: PoolKind = { maxRequests: 1, maySwitch: true }

/** Keep-alive connections to all nodes: one pool for each origin, grown as needed. */
export class Transport implements Repeat {
  readonly #connections = new Map<string, Connections>()
  readonly #options: TransportOptions

  constructor(options: TransportOptions) {
    this.#options = options
  }

  /** Sends one request to one node. Every outcome is told to the handler, none is thrown. */
  dispatch(node: TrackedNode, request: BackendRequest, handler: AnswerHandler): void {
    handler.limitSilence(this.#options, node)
    // A body that is a stream cannot be sent a second time.
    if (request.body === null || Buffer.isBuffer(request.body)) handler.repeatsBy(this, node, request)
    const connections = this.#connectionsTo(node)
    if (request.upgrade) return void this.#switchingPool(node, connections).dispatch(request, handler)
    const { pool, proxy } = connections
    pool.dispatch(proxy ? throughProxy(proxy, node, request) : request, handler)
  }

  onFreshConnection(node: TrackedNode, request: BackendRequest, handler: AnswerHandler): void {
    const connections = this.#connectionsTo(node)
    const { proxy, fresh = this.#createPool(node.spec.origin, connections, ONE_REQUEST) } = connections
    connections.fresh = fresh
    fresh.dispatch(proxy ? throughProxy(proxy, node, request) : request, handler)
  }

  /** Cuts every connection. */
  async close(): Promise<void> {
    const pools = [...this.#connections.values()].flatMap(poolsOf)
    this.#connections.clear()
    await Promise.all(pools.map((pool) => pool.destroy()))
  }

  /** Lets go of the connections to origins that nobody lists any more. */
  keepOnly(origins: ReadonlySet<string>): void {
    for (const [origin, connections] of this.#connections) {
      if (origins.has(origin)) continue
      this.#connections.delete(origin)
      for (const pool of poolsOf(connections)) void pool.close()
    }
  }

  #connectionsTo(node: TrackedNode): Connections {
    const { origin } = node.spec
    let connections = this.#connections.get(origin)
    if (!connections) {
      connections = this.#connect(origin, node)
      this.#connections.set(origin, connections)
    } else if (connections.node !== node) {
      connections.node = node
      node.localAddress = connections.localAddress
    }
    return connections
  }

  #connect(origin: string, node: TrackedNode): Connections {
    const idle = new IdleLimit(IDLE_SOCKET_MS)
    const proxy = this.#options.proxies?.for(origin)
    const connections = { fresh: undefined, switching: undefined, idle, proxy, node, localAddress: undefined }
    return Object.assign(connections, { pool: this.#createPool(origin, connections) })
  }

  #switchingPool(node: TrackedNode, connections: Connections): Pool {
    return (connections.switching ??= this.#createPool(node.spec.origin, connections, SWITCHES_PROTOCOL))
  }

  #createPool(
    origin: string,
    of: Omit<Connections, 'pool'>,
    { maxRequests = MAX_REQUESTS_PER_SOCKET, maySwitch = false }: PoolKind = {},
  ): Pool {
    const { proxy } = of
    const limits = { timeoutMs: this.#options.connectTimeoutSeconds * 1000 }
    const isTunnelled = proxy !== undefined && (maySwitch || origin.startsWith('https:'))
    const connect = isTunnelled ? createTunnelConnector(proxy, limits) : createConnector(limits)
    const onIdleClose = (idleMs: number): void => {
      if (maxRequests > 1 && of.idle.closed(idleMs)) this.#renew(origin)
    }
    return new Pool(proxy && !isTunnelled ? proxy.origin : origin, {
      connect: (options, callback) =>
        connect(options, (...result) => {
          const [error, socket] = result
          if (!error) {
            watchCloses(socket, passOverInterimAnswers(socket, { maySwitch }), onIdleClose)
            // What a node sees of a proxy's connections is not known.
            if (!proxy) of.localAddress = of.node.localAddress = socket.localAddress
          }
          callback(...result)
        }),
      allowH2: false,
      pipelining: 1,
      maxRequestsPerClient: maxRequests,
      maxHeaderSize: MAX_ANSWER_HEAD,
      keepAliveTimeout: of.idle.ms,
      keepAliveMaxTimeout: of.idle.ms,
      keepAliveTimeoutThreshold: IDLE_MARGIN_MS,
      // The handler's own are exact; undici's can be a second late.
      headersTimeout: 0,
      bodyTimeout: 0,
    })
  }

  /** Idle connections are closed sooner from now on, which a pool is told when it is made. */
  #renew(origin: string): void {
    const connections = this.#connections.get(origin)
    if (!connections) return
    const { pool } = connections
    connections.pool = this.#createPool(origin, connections)
    void pool.close()
  }
}

function poolsOf({ pool, fresh, switching }: Connections): Pool[] {
  return [pool, fresh, switching].filter((one) => one !== undefined)
}

/** A request as a proxy takes it: in a tunnel as it is, else with its whole URL (RFC 9112, 3.2.2). */
function throughProxy(proxy: ForwardProxy, { spec: { origin } }: TrackedNode, request: BackendRequest): BackendRequest {
  if (origin.startsWith('https:')) return request
  const authorization = proxyAuthorization(proxy)
  const headers = [...request.headers, 'host', origin.slice('http://'.length)]
  if (authorization !== undefined) headers.push('proxy-authorization', authorization)
  return { ...request, path: origin + request.path, headers }
}
