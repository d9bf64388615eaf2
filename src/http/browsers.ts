import cors from 'cors'
import type { Request } from 'express'
import { GatewayFault } from '../faults.ts'
import type { Check } from './checks.ts'
import { setOwnHeader } from './gatewayResponse.ts'
import { upgradeOf } from './upgrades.ts'

/** Answers' own headers that pages of other origins may read (Fetch, 3.3.4). */
const EXPOSED_HEADERS = [
  ...[
    'X-Infernet-Node',
    'X-Routing-Reason',
    'X-Queue-Ms',
    'X-Request-Id',
    'Retry-After',
    'Idempotent-Replayed',
    'Preference-Applied',
  ],
  ...['RateLimit', 'RateLimit-Policy', 'RateLimit-Limit', 'RateLimit-Remaining', 'RateLimit-Reset'],
  ...['X-RateLimit-Limit-Tokens', 'X-RateLimit-Remaining-Tokens', 'X-RateLimit-Reset-Tokens'],
]
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE']
/** For how long browsers remember that they may call a path, seconds. */
const PREFLIGHT_SECONDS = 600
/** Methods that change nothing (RFC 9110, 9.2.1). */
const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])
const MAX_ORIGIN_SHOWN = 200

export interface BrowserOptions {
  /** Origins whose pages may call the gateway; `*` is any. */
  readonly corsOrigins: readonly string[]
  /** Paths that no page of another origin may call, whatever `corsOrigins` says, with all paths below them; in lower case. */
  readonly operatorsPaths: readonly string[]
}

/**
 * What answers tell browsers unless a page of ours says otherwise: that they are data. `nosniff` keeps them from being run as a
 * script or read as another type; `sandbox` gives what is opened as a page an origin of its own, without scripts (CSP 3, 6.3.2).
 */
export const answerIsData: Check = (_req, res) => {
  setOwnHeader(res, 'X-Content-Type-Options', 'nosniff')
  setOwnHeader(res, 'Content-Security-Policy', 'sandbox')
}

/** The policy of the gateway's own pages of figures: nothing is loaded, nothing runs, and no other page can frame them. */
export const answerIsPage: Check = (_req, res) => {
  setOwnHeader(res, 'Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'; sandbox")
}

/** Adds the CORS headers for allowed origins, on errors and on OPTIONS too. Cookies are not used, so credentials are not allowed. */
export function shareWithOrigins(options: BrowserOptions): Check {
  const { corsOrigins } = options
  if (corsOrigins.length === 0) return () => undefined
  const isAny = corsOrigins.includes('*')
  const share = cors({
    origin: isAny ? '*' : [...corsOrigins],
    methods: METHODS,
    exposedHeaders: EXPOSED_HEADERS,
    maxAge: PREFLIGHT_SECONDS,
    // The path's own handler answers: it knows the methods that `Allow` names.
    preflightContinue: true,
  })
  return (req, res) => {
    if (isForOperators(req, options)) return
    // With a list that does not change it is done when it returns.
    if (isAny || isAllowed(req.headers.origin, corsOrigins)) share(req, res, () => undefined)
    // Caches must not give this answer to an allowed origin.
    else res.vary('Origin')
  }
}

/**
 * Refuses what a page of another site makes a browser send, where it may change something. Browsers send simple forms without
 * asking first, from the address, and with the passwords, of their user. Other clients send none of these headers.
 */
export function refuseOtherSites(options: BrowserOptions): Check {
  return (req) => {
    // A WebSocket is opened by a GET, without asking first, and then does whatever its page wants.
    const isSafe = SAFE_METHODS.has(req.method) && !upgradeOf(req)
    if (isSafe || !isFromOtherSite(req)) return
    const { origin } = req.headers
    if (isAllowed(origin, options.corsOrigins) && !isForOperators(req, options)) return
    throw new GatewayFault('ERR_OTHER_SITE', undefined, {
      ...(origin !== undefined && { params: { origin: origin.slice(0, MAX_ORIGIN_SHOWN) } }),
    })
  }
}

/** By `Sec-Fetch-Site` (Fetch Metadata), which no page can write itself; by `Origin` for browsers that do not send it. */
function isFromOtherSite(req: Request): boolean {
  const site = req.headers['sec-fetch-site']
  if (site !== undefined) return site !== 'same-origin' && site !== 'none'
  const { origin } = req.headers
  return origin !== undefined && origin !== ownOrigin(req)
}

/** Whether a browser says that a page of the gateway itself sent the request. Without its word it is not known. */
export function isFromOwnPage(req: Request): boolean {
  const { origin, 'sec-fetch-site': site } = req.headers
  if (site !== undefined && site !== 'same-origin') return false
  return site !== undefined || (origin !== undefined && origin === ownOrigin(req))
}

/** The origin under which the client knows the gateway, as far as trusted proxies tell; `undefined` for a client that names no host. */
function ownOrigin(req: Request): string | undefined {
  const url = `${req.protocol}://${req.host}`
  return URL.canParse(url) ? new URL(url).origin : undefined
}

function isAllowed(origin: string | undefined, corsOrigins: readonly string[]): boolean {
  return corsOrigins.includes('*') || (origin !== undefined && corsOrigins.includes(origin))
}

function isForOperators({ path }: Request, { operatorsPaths }: BrowserOptions): boolean {
  const lower = path.toLowerCase()
  return operatorsPaths.some((one) => lower === one || lower.startsWith(`${one}/`))
}
