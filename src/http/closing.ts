import { randomUUID } from 'node:crypto'
import { STATUS_CODES, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { FAULTS, GatewayFault, type FaultCode } from '../faults.ts'
import { errorBody } from './errorShapes.ts'

/**
 * How long a client has to take the last bytes and close its side. Closing a socket while bytes from the client are unread
 * resets the connection, and the client may lose the answer.
 */
const LINGER_MS = 2000

/** Connections on which nothing is read as a request any more. */
const closing = new WeakSet<Socket>()

export function isClosing(socket: Socket): boolean {
  return closing.has(socket)
}

/** Lets this answer, the last one owed on the connection, go out; then closes, or sends another and closes. */
export function closeAfter(socket: Socket, last: ServerResponse, then?: () => void): void {
  ignoreRest(socket)
  // The client learns of it from `Connection: close` where that can still be said.
  if (!then && !last.headersSent) last.shouldKeepAlive = false
  // Node would close the connection right behind the answer.
  socket.destroySoon = () => undefined
  last.on('close', () => {
    if (socket.destroyed) return
    if (then) then()
    else closeGently(socket)
  })
}

/** Sends FIN behind what was written, and closes when the client has done the same, or has had the time to. */
export function closeGently(socket: Socket): void {
  ignoreRest(socket)
  socket.end()
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  timer.unref()
  socket.on('close', () => clearTimeout(timer))
}

/** Answers on a bare socket, where there is no response object, and closes it. */
export function refuse(socket: Socket, code: FaultCode, header?: string): void {
  // Node removes its own error listener before it emits `connect`, and an unhandled reset would end the process.
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
  socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
  closeGently(socket)
}

/** What still comes is read, so that the end of the connection is seen, and forgotten. */
function ignoreRest(socket: Socket): void {
  if (closing.has(socket)) return
  closing.add(socket)
  // Takes the connection off Node's parser.
  socket.removeAllListeners('data')
  socket.on('data', () => undefined)
  socket.resume()
}
