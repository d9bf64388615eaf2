import { randomBytes } from 'node:crypto'

/** This gateway's name in `Via` (RFC 9110, 7.6.3): unique to the process, so that gateways may be chained but never looped. */
export function createVia(): string {
  return `1.1 infernet-gateway-${randomBytes(4).toString('hex')}`
}

/** True where a request already passed through the gateway with this `Via` value. */
export function hasPassed(header: string | undefined, via: string): boolean {
  return header !== undefined && header.split(',').some((entry) => entry.trim() === via)
}
