import { isIPv4 } from 'node:net'

/** No descriptors, or no memory for sockets. */
const OWN_LACKS: ReadonlySet<unknown> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS'])

/** Whether a connection failed for want of something here: descriptors, or local ports. It says nothing of the other side. */
export function isExhausted(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.some(isExhausted)
  if (typeof error !== 'object' || error === null) return false
  const { code, address, cause } = error as { code?: unknown; address?: string; cause?: unknown }
  if (OWN_LACKS.has(code)) return true
  // An IPv6 address is not available either where this machine has no IPv6 at all.
  if (code === 'EADDRNOTAVAIL' && address !== undefined) return isIPv4(address)
  return isExhausted(cause)
}
