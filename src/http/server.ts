import type { Express } from 'express'
import { createServer, IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { GatewayFault, type FaultCode } from '../faults.ts'
import { closeAfter, closeGently, isClosing, refuse } from './closing.ts'
import { GatewayResponse } from './gatewayResponse.ts'
import { Pipelining } from './pipelining.ts'
import { breakBody, holdContinue } from './readBody.ts'
import { serveUpgrade } from './upgrades.ts'

/** Enough for a URL with some 1,500 job ids. */
const MAX_HEADER_BYTES = 64 * 1024
const HEADERS_TIMEOUT_MS = 60_000
/** For a whole request with its body. */
const REQUEST_TIMEOUT_MS = 300_000
/** Longer than the usual load balancer keeps a connection, so that it never sends into one that we close. */
const IDLE_SOCKET_MS = 75_000
/** A slow reader is no reason to cut it; one that reads nothing for so long has gone without a word. */
const CLIENT_STALL_SECONDS = 300
const SLASH = 0x2f
const BACKSLASH = 0x5c
/** Scheme and authority of a request target. */
const ABSOLUTE_FORM = /^https?:\/\/[^/?#]*/i

export interface ServerOptions {
  /** A client that takes nothing of what is there for it for this long is cut off, seconds. Tests make it short. */
  readonly stallSeconds?: number
  /**
   * Which requests for another protocol are served, by their head and their path with its query; others are answered as if
   * they did not ask for one.
   */
  readonly isUpgrade?: (req: IncomingMessage, url: string) => boolean
}

/** An HTTP server on which every error is JSON, also those that never reach the routes. */
export function createHttpServer(app: Express, options: ServerOptions = {}): Server {
  const { stallSeconds = CLIENT_STALL_SECONDS, isUpgrade = () => false } = options
  const lastOf = new WeakMap<Socket, ServerResponse>()
  const pipelining = new Pipelining()
  const serve = (req: IncomingMessage, res: ServerResponse): void => {
    const { socket } = req
    const last = lastOf.get(socket)
    if (last && !last.closed) {
      // Requests of the same chunk that follow the last one to be answered.
      if (isClosing(socket)) return
      if (pipelining.isTooDeep(socket)) return closeAfter(socket, last)
    }
    lastOf.set(socket, res)
    req.url = urlOf(req)
    app(req, res)
  }
  const messages = messagesOf(app)
  const server = createServer(
    {
      ...messages,
      shouldUpgradeCallback: (req) => isUpgrade(req, urlOf(req)),
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: IDLE_SOCKET_MS,
      // `refuseMalformed` asks for it instead, and answers in JSON.
      requireHostHeader: false,
    },
    serve,
  )
  server.setTimeout(stallSeconds * 1000, (socket) => {
    // Whoever waits for an answer, or has not asked yet, is silent too; the latter is for `headersTimeout`.
    const isIdle = lastOf.get(socket)?.writableFinished === true
    if (isIdle || socket.writableLength > 0) socket.destroy()
  })
  server.on('checkContinue', (req, res) => {
    holdContinue(req, res)
    serve(req, res)
  })
  // Refused by `refuseMalformed`.
  server.on('checkExpectation', serve)
  // A client may close its sending side once it has asked (TCP half-close): its answers still go out. Node has no documented
  // option for it.
  Object.assign(server, { httpAllowHalfOpen: true })
  server.on('clientError', (error: NodeJS.ErrnoException, stream) => {
    const socket = stream as Socket
    if (!socket.destroyed && !isClosing(socket)) malformed(socket, lastOf.get(socket), error)
  })
  server.on('upgrade', (req, stream, head) => {
    const socket = stream as Socket
    const last = lastOf.get(socket)
    // An upgrade pipelined behind an unanswered request is refused: the socket still has to carry that response.
    if (last && !last.closed) return closeAfter(socket, last, () => refuse(socket, 'ERR_BAD_REQUEST'))
    serveUpgrade({ req, res: new messages.ServerResponse(req), socket, head }, serve)
  })
  server.on('connect', (_req, stream) => {
    const socket = stream as Socket
    const answer = (): void => refuse(socket, 'ERR_METHOD_NOT_ALLOWED', 'Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS')
    const last = lastOf.get(socket)
    if (!last || last.closed) answer()
    else closeAfter(socket, last, answer)
  })
  return server
}

function urlOf({ url = '/' }: IncomingMessage): string {
  return withOneSlash(pathOf(url))
}

/** A target in absolute form, as clients send it to a proxy, is its path and query (RFC 9112, 3.2.2). */
function pathOf(target: string): string {
  if (target.charCodeAt(0) === SLASH || !ABSOLUTE_FORM.test(target)) return target
  const path = target.replace(ABSOLUTE_FORM, '')
  return path.startsWith('/') ? path : `/${path}`
}

/**
 * A path that begins with several slashes, as of a client whose base URL ends in one, is the one that begins with one. A
 * backslash behind them would be one more to Express, which would take what follows for a host.
 */
function withOneSlash(url: string): string {
  const second = url.charCodeAt(1)
  if (second !== SLASH && second !== BACKSLASH) return url
  return url.replace(/^\/+/, '/').replace(/^\/\\/, '/%5C')
}

/**
 * Requests and responses that are born as Express wants them. It gives each of them its own prototype, which is slow in V8,
 * for what it then finds is the one they have already.
 */
function messagesOf(app: Express): { IncomingMessage: typeof IncomingMessage; ServerResponse: typeof GatewayResponse } {
  class ExpressRequest extends IncomingMessage {}
  class ExpressResponse<Request extends IncomingMessage> extends GatewayResponse<Request> {}
  Object.setPrototypeOf(ExpressRequest.prototype, app.request)
  // Express's prototype takes the place of the one that the class has from GatewayResponse.
  const { setOwn, setDeciding, writeHead } = Object.getOwnPropertyDescriptors(GatewayResponse.prototype)
  Object.setPrototypeOf(
    ExpressResponse.prototype,
    Object.create(app.response, { setOwn, setDeciding, writeHead }) as object,
  )
  app.request = ExpressRequest.prototype as Express['request']
  app.response = ExpressResponse.prototype as unknown as Express['response']
  return { IncomingMessage: ExpressRequest, ServerResponse: ExpressResponse }
}

/** Bytes behind a request that are none themselves: garbage, the beginning of one, or what follows `Connection: close`. */
const NO_REQUEST: ReadonlySet<string | undefined> = new Set([
  'HPE_INVALID_METHOD',
  'HPE_INVALID_EOF_STATE',
  'HPE_CLOSED_CONNECTION',
  'ERR_HTTP_REQUEST_TIMEOUT',
])

/**
 * Ends a connection whose bytes are no HTTP from here on. What was asked before gets its answer first, and a request that has
 * one gets no second: the error is only told where it is the answer to something.
 */
function malformed(socket: Socket, last: ServerResponse | undefined, error: NodeJS.ErrnoException): void {
  const code = codeOf(error)
  if (!last) return refuse(socket, code)
  const isEarlyEnd = error.code === 'HPE_INVALID_EOF_STATE'
  if (last.closed) {
    const isOver = isEarlyEnd || error.code === 'HPE_CLOSED_CONNECTION' || !last.req.complete
    return isOver ? closeGently(socket) : refuse(socket, code)
  }
  if (last.req.complete) {
    return NO_REQUEST.has(error.code) ? closeAfter(socket, last) : closeAfter(socket, last, () => refuse(socket, code))
  }
  const message = isEarlyEnd ? 'The body ended before its announced length' : undefined
  breakBody(last.req, new GatewayFault(code, message))
  closeAfter(socket, last)
}

function codeOf(error: NodeJS.ErrnoException): FaultCode {
  if (error.code === 'HPE_HEADER_OVERFLOW') return 'ERR_HEADERS_TOO_LARGE'
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'ERR_REQUEST_TIMEOUT'
  return 'ERR_BAD_REQUEST'
}
