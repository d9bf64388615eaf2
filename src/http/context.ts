import type { Request } from 'express'
import { randomUUID } from 'node:crypto'
import { isIP } from 'node:net'
import type { GatewayFault } from '../faults.ts'

const PLAUSIBLE_ID = /^[A-Za-z0-9._-]{1,128}$/
const CONTEXT = Symbol('gateway context')

/** What the gateway knows of one request from its first moment on. */
export interface RequestContext {
  /** The client's own id, if plausible, else one of ours. */
  readonly requestId: string
  /** Monotonic, ms. */
  readonly startedAt: number
  /** The client's true address, as far as we are willing to believe it. */
  readonly clientAddress: string
  /** Who asks: the API key's name where keys are set, else the client's address. Set by authentication. */
  caller: string
  /** True where credentials were the gateway's own and must not go to a backend. */
  credentialsAreOurs: boolean
  // What became of it, for logs and metrics:
  /** The backend that served it, or was asked last. */
  node?: string | undefined
  fault?: GatewayFault
  /** How many backends were asked. */
  tries?: number
  /** From sending to the first byte of the backend's answer. */
  firstByteSeconds?: number
}

type WithContext = Request & { [CONTEXT]?: RequestContext }

/** The request's context, made at the first call. */
export function contextOf(req: Request): RequestContext {
  const holder = req as WithContext
  return (holder[CONTEXT] ??= createContext(req))
}

function createContext(req: Request): RequestContext {
  const given = req.headers['x-request-id']
  const clientAddress = clientAddressOf(req)
  return {
    requestId: typeof given === 'string' && PLAUSIBLE_ID.test(given) ? given : randomUUID(),
    startedAt: performance.now(),
    clientAddress,
    caller: clientAddress,
    credentialsAreOurs: false,
  }
}

/** The address that the trusted proxies name, without a port that some of them add; where it is none (`unknown`), the last proxy's own. */
function clientAddressOf(req: Request): string {
  // Most often nobody names anybody, and Express need not think about it.
  if (req.headers['x-forwarded-for'] === undefined) return plainAddress(req.socket.remoteAddress ?? '')
  const named = (req.ip ?? '').replace(/^\[(.*)\](:\d+)?$/, '$1').replace(/^([\d.]+):\d+$/, '$1')
  return plainAddress(isIP(named) ? named : (req.socket.remoteAddress ?? ''))
}

/** An IPv4 address that a dual-stack socket shows as IPv6 is the same caller. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') ? address.slice(7) : address
}
