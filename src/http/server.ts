import type { Express } from 'express'
import { randomUUID } from 'node:crypto'
import { createServer, IncomingMessage, ServerResponse, STATUS_CODES, type Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { FAULTS, GatewayFault, type FaultCode } from '../faults.ts'
import { errorBody } from './errors.ts'
import { holdContinue } from './readBody.ts'

/** Enough for a URL with some 1,500 job ids. */
const MAX_HEADER_BYTES = 64 * 1024
const HEADERS_TIMEOUT_MS = 60_000
/** For a whole request with its body. */
const REQUEST_TIMEOUT_MS = 300_000
/** Longer than the usual load balancer keeps a connection, so that it never sends into one that we close. */
const IDLE_SOCKET_MS = 75_000
/** A slow reader is no reason to cut it; one that reads nothing for so long has gone without a word. */
const CLIENT_STALL_SECONDS = 300

export interface ServerOptions {
  /** A client that takes nothing of what is there for it for this long is cut off, seconds. Tests make it short. */
  readonly stallSeconds?: number
}

/** An HTTP server on which every error is JSON, also those that never reach the routes. */
export function createHttpServer(app: Express, { stallSeconds = CLIENT_STALL_SECONDS }: ServerOptions = {}): Server {
  const lastOf = new WeakMap<Duplex, ServerResponse>()
  const serve = (req: IncomingMessage, res: ServerResponse): void => {
    lastOf.set(req.socket, res)
    app(req, res)
  }
  const server = createServer(
    {
      ...messagesOf(app),
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
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (isOwedAnError(lastOf.get(socket))) refuse(socket, codeOf(error))
    else socket.destroy()
  })
  server.on('connect', (_req, socket) =>
    refuse(socket, 'ERR_METHOD_NOT_ALLOWED', 'Allow: GET, HEAD, POST, PUT, OPTIONS'),
  )
  return server
}

/**
 * Requests and responses that are born as Express wants them. It gives each of them its own prototype, which is slow in V8,
 * for what it then finds is the one they have already.
 */
function messagesOf(app: Express): { IncomingMessage: typeof IncomingMessage; ServerResponse: typeof ServerResponse } {
  class ExpressRequest extends IncomingMessage {}
  class ExpressResponse<Request extends IncomingMessage> extends ServerResponse<Request> {}
  Object.setPrototypeOf(ExpressRequest.prototype, app.request)
  Object.setPrototypeOf(ExpressResponse.prototype, app.response)
  app.request = ExpressRequest.prototype as Express['request']
  app.response = ExpressResponse.prototype as Express['response']
  return { IncomingMessage: ExpressRequest, ServerResponse: ExpressResponse }
}

/**
 * Whether the next bytes on a connection may be an error of the parser. Not while an answer is under way or still to come: the
 * error would get into it, or be taken for it. Only what breaks off amid its own body may be answered instead.
 */
function isOwedAnError(last: ServerResponse | undefined): boolean {
  if (!last || last.writableFinished) return true
  return last.socket !== null && !last.headersSent && !last.req.complete
}

function codeOf(error: NodeJS.ErrnoException): FaultCode {
  if (error.code === 'HPE_HEADER_OVERFLOW') return 'ERR_HEADERS_TOO_LARGE'
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'ERR_REQUEST_TIMEOUT'
  return 'ERR_BAD_REQUEST'
}

/** Answers on a bare socket, where there is no response object, and closes it. */
function refuse(socket: Duplex, code: FaultCode, header?: string): void {
  // Before `connect` Node takes its own listener off the socket, and a reset that nobody hears ends the process.
  socket.on('error', () => socket.destroy())
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const { status } = FAULTS[code]
  const body = errorBody(new GatewayFault(code))
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `Date: ${new Date().toUTCString()}`,
    `X-Request-Id: ${randomUUID()}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    ...(header === undefined ? [] : [header]),
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}
