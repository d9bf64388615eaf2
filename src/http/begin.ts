import type { Request, Response } from 'express'
import { GatewayFault, type FaultCode } from '../faults.ts'
import { hasPassed } from './via.ts'
import type { Check } from './checks.ts'
import { contextOf } from './context.ts'
import type { Drain } from './drain.ts'
import { setOwnHeader } from './gatewayResponse.ts'
import { upgradeOf } from './upgrades.ts'

/** A name, an IPv4 or a bracketed IPv6 address with or without its zone, then perhaps a port (RFC 9110, 7.2; RFC 3986, 3.2.2). */
const HOST = /^(?:[\w.~-]+|\[[\da-f:.]+(?:%[\w.~-]+)?\])(?::\d{0,5})?$/i

export interface BeginOptions {
  readonly drain: Drain
  /** Called once for each request when it has begun; undefined where nobody wants to know. */
  readonly onBegun?: ((req: Request) => void) | undefined
  /** Called once for each request when its response has closed. */
  readonly onClosed: (req: Request, res: Response) => void
  /** Called once, when a peer whom nobody trusts sends `X-Forwarded-For`. */
  readonly onUntrustedForwarding: (peer: string) => void
}

/** The first thing that happens to a request: it gets its id, is counted, and will be reported when it has ended. */
export function beginRequest({ drain, onBegun, onClosed, onUntrustedForwarding }: BeginOptions): Check {
  let hasWarned = false
  return (req, res) => {
    const context = contextOf(req)
    setOwnHeader(res, 'X-Request-Id', context.requestId)
    if (drain.isDraining) res.setHeader('Connection', 'close')
    onBegun?.(req)
    drain.track(res)
    context.sentBefore = req.socket.bytesWritten
    // It comes once anyway, and `once` costs more.
    res.on('close', () => {
      // Whatever cut the answer from this side has noted its fault before.
      if (!res.writableFinished && !upgradeOf(req)?.isSwitched) context.fault ??= new GatewayFault('ERR_CLIENT_GONE')
      onClosed(req, res)
    })
    if (!hasWarned && req.headers['x-forwarded-for'] !== undefined && !trustsPeer(req)) {
      hasWarned = true
      onUntrustedForwarding(context.clientAddress)
    }
  }
}

function trustsPeer(req: Request): boolean {
  const trust = req.app.get('trust proxy fn') as (address: string | undefined, hop: number) => boolean
  return trust(req.socket.remoteAddress, 0)
}

/** Refuses what HTTP forbids but its parser lets through (RFC 9112, 3.2; RFC 9110, 10.1.1), in JSON as everything else. */
export const refuseMalformed: Check = (req) => {
  const { host, expect } = req.headers
  if (host !== undefined && !(HOST.test(host) && hasOneHost(req.rawHeaders))) {
    throw closing(
      'ERR_BAD_REQUEST',
      'A request needs one Host header with a host name or an address, and optionally a port',
    )
  }
  if (req.httpVersion === '1.1') {
    if (host === undefined) throw closing('ERR_BAD_REQUEST', 'A request needs a Host header')
    if (expect !== undefined && expect.toLowerCase() !== '100-continue') throw closing('ERR_EXPECTATION')
  }
}

/** Names and values alternate. A second line is dropped from `headers`, while a proxy in front may have read that one. */
function hasOneHost(rawHeaders: readonly string[]): boolean {
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
  }
  return hosts === 1
}

/** Whoever breaks the protocol may be out of step with it: the connection is not used again. */
function closing(code: FaultCode, message?: string): GatewayFault {
  return new GatewayFault(code, message, { headers: { Connection: 'close' } })
}

/** Refuses what already came through this gateway: a node that is the gateway itself. */
export function refuseLoops(via: string): Check {
  return (req) => {
    if (hasPassed(req.headers.via, via)) throw new GatewayFault('ERR_LOOP')
  }
}
