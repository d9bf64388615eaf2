import type { Request } from 'express'
import { randomBytes } from 'node:crypto'
import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { contextOf, plainAddress } from '../http/context.ts'
import { actsOnOrigin } from './originHeaders.ts'

/** Belong to one connection, never to the next (RFC 9110, 7.6.1). */
const HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]

/** Set anew for each backend, or of no use to one. */
const NOT_TO_BACKENDS = new Set([
  ...HOP_BY_HOP,
  'host',
  'expect',
  'content-length',
  'content-type',
  'content-encoding',
  // Answers are read in passing (ids, usage), so they must come uncompressed.
  'accept-encoding',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-real-ip',
  'via',
  'x-request-id',
  'traceparent',
  'idempotency-key',
  'x-infernet-cost',
  'x-infernet-failover',
  // A backend that heeds it would let clients raise what their keys allow.
  'x-priority',
  // They belong to the gateway's origin, and so to whatever else is served there.
  'cookie',
  'cookie2',
  // Which pages may send a request is for the gateway to say. A service that judges the origin itself would judge by its own.
  'origin',
])

/** Where a client shows its key: the gateway's own stays here, and a service's own takes the place of any other. */
const CREDENTIALS = new Set(['authorization', 'x-api-key', 'api-key'])

/** Never passed on from a backend: its connection's own, and a budget that is not the client's. */
const NOT_TO_CLIENTS = new Set([
  ...HOP_BY_HOP,
  'ratelimit-limit',
  'ratelimit-remaining',
  'ratelimit-reset',
  'ratelimit-policy',
  'ratelimit',
  'x-ratelimit-limit',
  'x-ratelimit-remaining',
  'x-ratelimit-reset',
  'x-request-id',
  'x-infernet-node',
  'x-routing-reason',
  'x-queue-ms',
  'idempotent-replayed',
])

const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/

/** Headers as undici takes them: name, value, name, value … */
export type FlatHeaders = string[]

export interface HeaderOptions {
  readonly via: string
  /** Type of the body that is sent, if any. */
  readonly contentType?: string | undefined
}

/**
 * The headers that go to a backend with a client's request: the client's own, less those of its connection and those that
 * only the gateway may write; `X-Forwarded-For` begins with the client's true address, by which nodes limit rates.
 */
export function headersForBackend(req: Request, options: HeaderOptions): FlatHeaders {
  const context = contextOf(req)
  const out: FlatHeaders = ['x-forwarded-for', forwardedFor(req, context.clientAddress)]
  const named = connectionOptions(req.headers.connection)
  const { headers } = req
  const trace = givenTrace(headers)
  for (const name in headers) {
    if (NOT_TO_BACKENDS.has(name) || named?.has(name)) continue
    // CGI and WSGI read `x_forwarded_for` as `x-forwarded-for`, so a client could write what only the gateway may.
    if (name.includes('_')) continue
    // The state of a trace that does not go on means nothing.
    if (name === 'tracestate' && trace === undefined) continue
    if (context.credentialsAreOurs && CREDENTIALS.has(name)) continue
    if (context.withheldHeaders?.has(name)) continue
    const value = headers[name]
    if (typeof value === 'string') out.push(name, value)
    else if (value) for (const one of value) out.push(name, one)
  }
  const { protocol, host } = req
  const previousVia = headers.via
  out.push('x-forwarded-proto', protocol)
  if (host) out.push('x-forwarded-host', host)
  out.push('via', previousVia ? `${previousVia}, ${options.via}` : options.via)
  out.push('x-request-id', context.requestId, 'traceparent', trace ?? newTrace(context.requestId))
  if (options.contentType !== undefined) out.push('content-type', options.contentType)
  return out
}

/** The same headers, with a backend's own key, which `own` carries, in place of whatever the client showed. */
export function replaceCredentials(headers: FlatHeaders, keyHeader: string, own: FlatHeaders): FlatHeaders {
  const out: FlatHeaders = []
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string
    if (!CREDENTIALS.has(name) && name !== keyHeader) out.push(name, headers[i + 1] as string)
  }
  out.push(...own)
  return out
}

/** The headers of a call that the gateway makes on behalf of a client that need not be there any more. */
export function headersOnBehalf(clientAddress: string, requestId: string, via: string): FlatHeaders {
  return [
    ...['x-forwarded-for', clientAddress, 'via', via, 'x-request-id', requestId],
    ...['traceparent', newTrace(requestId), 'content-type', 'application/json'],
  ]
}

/**
 * A backend's answer headers, as they go to the client: without those of its connection and those that act beyond the answer.
 * What the gateway itself says the answer varies by is added to what the backend says.
 */
export function headersForClient(
  headers: IncomingHttpHeaders,
  res?: ServerResponse,
): Record<string, string | string[]> {
  const named = connectionOptions(headers.connection)
  const out: Record<string, string | string[]> = {}
  for (const name in headers) {
    const value = headers[name]
    if (value === undefined || NOT_TO_CLIENTS.has(name) || named?.has(name) || actsOnOrigin(name, value)) continue
    // Of two types a client might believe either (RFC 9110, 5.3).
    out[name] = name === 'content-type' && typeof value !== 'string' ? (value[0] ?? '') : value
  }
  const ownVary = out['vary'] === undefined ? undefined : res?.getHeader('Vary')
  if (ownVary !== undefined) out['vary'] = `${String(ownVary)}, ${String(out['vary'])}`
  return out
}

/** The client's true address, then each trusted hop up to our own peer. */
function forwardedFor(req: Request, clientAddress: string): string {
  const peer = plainAddress(req.socket.remoteAddress ?? '')
  if (peer === clientAddress) return clientAddress
  // `req.ips` lists the believed part of the chain, the client first; our peer comes last and is not in it.
  return [clientAddress, ...req.ips.slice(1).map(plainAddress), peer].join(', ')
}

function connectionOptions(header: string | string[] | undefined): Set<string> | undefined {
  if (header === undefined || header === 'keep-alive' || header === 'close') return undefined
  const text = Array.isArray(header) ? header.join(',') : header
  return new Set(text.split(',').map((name) => name.trim().toLowerCase()))
}

/** The client's trace, where it shows a valid one (W3C Trace Context). */
function givenTrace(headers: IncomingHttpHeaders): string | undefined {
  const given = headers['traceparent']
  return typeof given === 'string' && TRACEPARENT.test(given) ? given : undefined
}

/** With or without its dashes. */
const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i
/** W3C Trace Context forbids it. */
const NO_TRACE_ID = '0'.repeat(32)

/** As the gateway itself writes it. */
const OWN_UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const NO_UUID = '00000000-0000-0000-0000-000000000000'

/** The beginning of a trace, whose id is the request's own where that is a UUID. */
function newTrace(requestId: string): string {
  if (OWN_UUID.test(requestId) && requestId !== NO_UUID) {
    const start = requestId.slice(0, 8) + requestId.slice(9, 13)
    const id = start + requestId.slice(14, 18) + requestId.slice(19, 23) + requestId.slice(24)
    return `00-${id}-${start}${requestId.slice(14, 17)}1-01`
  }
  if (UUID.test(requestId)) {
    const id = requestId.replaceAll('-', '').toLowerCase()
    if (id !== NO_TRACE_ID) return `00-${id}-${id.slice(0, 15)}1-01`
  }
  return `00-${randomHex(31)}1-${randomHex(15)}1-01`
}

function randomHex(digits: number): string {
  return randomBytes(16).toString('hex').slice(0, digits)
}
