import type { Request } from 'express'
import { GatewayFault } from '../faults.ts'
import { isFromOwnPage } from './browsers.ts'
import type { Check } from './checks.ts'
import { contextOf } from './context.ts'
import type { KeyRing } from './keys/keyRing.ts'
import { keyOfProtocols } from './protocolKeys.ts'
import type { WrongKeys } from './wrongKeys.ts'

/**
 * The key that a request shows: `Authorization: Bearer`, else `X-API-Key`, else `api-key`, else a protocol of a WebSocket; an
 * empty header shows none.
 */
export function shownKey(req: Request): string | undefined {
  const bearer = /^Bearer +(\S+) *$/i.exec(req.headers.authorization ?? '')?.[1]
  if (bearer !== undefined) return bearer
  const { headers } = req
  return textOf(headers['x-api-key']) ?? textOf(headers['api-key']) ?? keyOfProtocols(headers['sec-websocket-protocol'])
}

function textOf(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' && header !== '' ? header : undefined
}

const BEARER_CHALLENGE = 'Bearer realm="infernet-gateway"'
const BASIC_CHALLENGE = 'Basic realm="infernet-gateway", charset="UTF-8"'

function unauthorized(): GatewayFault {
  return new GatewayFault('ERR_UNAUTHORIZED', undefined, { headers: { 'WWW-Authenticate': BEARER_CHALLENGE } })
}

/** Marks the request as its key's; the caller of jobs and limits from here on. */
function admitCaller(req: Request, caller: string): void {
  const context = contextOf(req)
  context.caller = caller
  context.credentialsAreOurs = true
}

/** Lets through only requests with one of the keys. Where none is needed, everybody. */
export function requireKey(ring: KeyRing, wrongKeys: WrongKeys): Check {
  if (ring.isOpen) return () => undefined
  return (req) => admitKey(req, ring, wrongKeys, shownKey(req))
}

/**
 * Makes the key's caller the caller of the request; does nothing where no key is needed.
 *
 * @throws GatewayFault ERR_UNAUTHORIZED, or ERR_RATE_LIMITED after too many wrong keys
 */
export function admitKey(req: Request, ring: KeyRing, wrongKeys: WrongKeys, key: string | undefined): void {
  if (ring.isOpen) return
  const caller = ring.callerOf(key)
  if (caller === undefined) throw wrongKeys.count(req, key) ?? unauthorized()
  admitCaller(req, caller)
}

/**
 * For calls that need no key: a valid key makes its caller the caller; every other request keeps its address. A wrong key counts
 * as one here too, or keys could be guessed by whose budget a call takes.
 */
export function recognizeKey(ring: KeyRing, wrongKeys: WrongKeys): Check {
  return (req) => {
    const key = shownKey(req)
    const caller = ring.callerOf(key)
    if (caller !== undefined) admitCaller(req, caller)
    const refusal = caller === undefined && !ring.isOpen ? wrongKeys.count(req, key) : undefined
    if (refusal) throw refusal
  }
}

/**
 * As `requireKey`, for operators' pages: the caller stays who it is. The key may also come as the password of HTTP Basic,
 * under any user name, since that is all that a browser can send by itself.
 */
export function requireOpsKey(ring: KeyRing, wrongKeys: WrongKeys): Check {
  return (req, res) => {
    if (ring.isOpen) return
    const key = shownKey(req) ?? basicPassword(req)
    if (ring.callerOf(key) !== undefined) return
    const refusal = wrongKeys.count(req, key)
    if (refusal) throw refusal
    if (!opensPage(req)) throw unauthorized()
    // A line for each: browsers do not look for a second challenge in one.
    res.setHeader('WWW-Authenticate', [BEARER_CHALLENGE, BASIC_CHALLENGE])
    throw new GatewayFault('ERR_UNAUTHORIZED')
  }
}

/**
 * For calls of machines: lets through those whose address is allowed, and others that show one of the keys. A check that refuses
 * throws GatewayFault ERR_FORBIDDEN, or ERR_RATE_LIMITED after too many wrong keys.
 */
export function requireAddressOrKey(
  isAllowed: (address: string) => boolean,
  ring: KeyRing,
  wrongKeys: WrongKeys,
): Check {
  return (req) => {
    if (isAllowed(contextOf(req).clientAddress)) return
    const key = ring.isOpen ? undefined : (shownKey(req) ?? basicPassword(req))
    if (ring.callerOf(key) !== undefined) return
    throw wrongKeys.count(req, key) ?? new GatewayFault('ERR_FORBIDDEN')
  }
}

/**
 * As `requireOpsKey`, for what changes something: refused to all where no key is set. A browser sends a password that it has cached
 * with any form that any page submits, so a password counts only where the browser says that the form is on a page of ours. What
 * is sent as Bearer or in a header of its own no form can send.
 *
 * @throws GatewayFault ERR_NO_OPS_KEY, ERR_OTHER_SITE, or as `requireOpsKey` says
 */
export function requireAdminKey(ring: KeyRing, wrongKeys: WrongKeys): Check {
  const requireIt = requireOpsKey(ring, wrongKeys)
  return (req, res) => {
    if (ring.isOpen) throw new GatewayFault('ERR_NO_OPS_KEY')
    requireIt(req, res)
    if (shownKey(req) === undefined && req.method === 'POST' && !isFromOwnPage(req)) {
      const message =
        'A password is accepted from a page of the gateway itself; send OPS_KEY as "Authorization: Bearer"'
      throw new GatewayFault('ERR_OTHER_SITE', message)
    }
  }
}

/** The password of `Authorization: Basic` (RFC 7617): what follows the first colon. */
function basicPassword(req: Request): string | undefined {
  const encoded = /^Basic +([\w+/-]+=*) *$/i.exec(req.headers.authorization ?? '')?.[1]
  if (encoded === undefined) return undefined
  const text = Buffer.from(encoded, 'base64').toString()
  const colon = text.indexOf(':')
  return colon < 0 ? undefined : text.slice(colon + 1)
}

/** Whether a browser opens a page, and may ask its user for a key. A page's own calls must not raise that dialogue. */
function opensPage(req: Request): boolean {
  return /\btext\/html\b/i.test(req.headers.accept ?? '')
}
