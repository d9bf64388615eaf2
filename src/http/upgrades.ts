import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { closeGently } from './closing.ts'

const UPGRADE = Symbol('upgrade')

/** A request to speak another protocol on its connection from now on (RFC 9110, 7.8), which Node's parser has let go of. */
export interface Upgrade {
  readonly socket: Socket
  /** What the client has sent behind its request. */
  readonly head: Buffer
  /** The other protocol is spoken now; nothing may be written as HTTP any more. */
  isSwitched: boolean
}

type MayUpgrade = IncomingMessage & { [UPGRADE]?: Upgrade }

/** The upgrade that a request asks for; undefined for every other request. */
export function upgradeOf(req: IncomingMessage): Upgrade | undefined {
  return (req as MayUpgrade)[UPGRADE]
}

/** The status that a client has seen; 0 where it left before. */
export function sentStatus(req: IncomingMessage, res: ServerResponse): number {
  return res.headersSent || upgradeOf(req)?.isSwitched ? res.statusCode : 0
}

/**
 * Lets a request for an upgrade be served like any other: with a response, which may also refuse it. The connection ends with
 * that response, or with the other protocol.
 */
export function serveUpgrade(
  { req, res, socket, head }: { req: IncomingMessage; res: ServerResponse; socket: Socket; head: Buffer },
  serve: (req: IncomingMessage, res: ServerResponse) => void,
): void {
  ;(req as MayUpgrade)[UPGRADE] = { socket, head, isSwitched: false }
  // Node has removed its own error listener from the socket, and an unhandled reset would end the process.
  socket.on('error', () => socket.destroy())
  res.shouldKeepAlive = false
  res.assignSocket(socket)
  res.on('finish', () => closeGently(socket))
  serve(req, res)
}
