import { randomBytes } from 'node:crypto'

/** How backends tell this gateway from others and from its clients; unique to the process. */
export interface Identity {
  /** Its entry in `Via` (RFC 9110, 7.6.3): gateways may be chained but never looped. */
  readonly via: string
  /**
   * The address under which nodes count its own calls (`X-Forwarded-For`), so that gateways behind one address do not share a
   * budget. From the range for private use (RFC 4193).
   */
  readonly address: string
}

/** `via`: where several processes are one gateway. */
export function createIdentity(via = `1.1 infernet-gateway-${randomBytes(4).toString('hex')}`): Identity {
  return { via, address: uniqueLocalAddress() }
}

function uniqueLocalAddress(): string {
  const bytes = randomBytes(8)
  const groups = [0, 2, 4, 6].map((at) => bytes.readUInt16BE(at).toString(16))
  return `fd00::${groups.join(':')}`
}
