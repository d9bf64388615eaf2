import type { Express } from 'express'
import { createServer, STATUS_CODES, type Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { FAULTS, GatewayFault, type FaultCode } from '../faults.ts'
import { errorBody, sendFault } from './errors.ts'
import { holdContinue } from './readBody.ts'

/** Enough for a URL with some 1,500 job ids. */
const MAX_HEADER_BYTES = 64 * 1024
const HEADERS_TIMEOUT_MS = 60_000
/** For a whole request with its body. */
const REQUEST_TIMEOUT_MS = 300_000
/** Longer than the usual load balancer keeps a connection, so that it never sends into one that we close. */
const IDLE_SOCKET_MS = 75_000

/** An HTTP server on which every error is JSON, also those that never reach the routes. */
export function createHttpServer(app: Express): Server {
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: IDLE_SOCKET_MS,
    },
    app,
  )
  server.on('checkContinue', (req, res) => {
    holdContinue(req, res)
    app(req, res)
  })
  server.on('checkExpectation', (_req, res) => sendFault(res, new GatewayFault('ERR_EXPECTATION')))
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => refuse(socket, codeOf(error)))
  server.on('connect', (_req, socket) => refuse(socket, 'ERR_METHOD_NOT_ALLOWED'))
  return server
}

function codeOf(error: NodeJS.ErrnoException): FaultCode {
  if (error.code === 'HPE_HEADER_OVERFLOW') return 'ERR_HEADERS_TOO_LARGE'
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'ERR_REQUEST_TIMEOUT'
  return 'ERR_BAD_REQUEST'
}

/** Answers on a bare socket, where there is no response object, and closes it. */
function refuse(socket: Duplex, code: FaultCode): void {
  if (!socket.writable || ('bytesWritten' in socket && (socket as { bytesWritten: number }).bytesWritten > 0)) {
    socket.destroy()
    return
  }
  const { status } = FAULTS[code]
  const body = errorBody(new GatewayFault(code))
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}
