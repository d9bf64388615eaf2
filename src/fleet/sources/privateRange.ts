import ipaddr from 'ipaddr.js'

export type IpAddress = ipaddr.IPv4 | ipaddr.IPv6

/** Ranges that lead to this host, its network or nowhere in particular, by the names that ipaddr.js gives them. */
const PRIVATE_RANGES: ReadonlySet<string> = new Set([
  ...['loopback', 'linkLocal', 'private', 'uniqueLocal', 'deprecatedSiteLocal', 'carrierGradeNat'],
  ...['unspecified', 'broadcast', 'multicast'],
])

/** True for loopback, link-local and private ranges, and for what is no single host; also inside an IPv6 address that stands for an IPv4 one. */
export function isPrivate(address: IpAddress): boolean {
  const range: string = address.range()
  if (PRIVATE_RANGES.has(range)) return true
  if (!(address instanceof ipaddr.IPv6)) return false
  const bytes = address.toByteArray()
  const start = embeddedStart(range, bytes)
  if (start === undefined) return false
  // Teredo writes it with all bits turned round (RFC 4380, 4).
  const inner = bytes.slice(start, start + 4).map((byte) => (range === 'teredo' ? byte ^ 0xff : byte))
  return isPrivate(new ipaddr.IPv4(inner))
}

/** Where an IPv6 address holds the IPv4 address it leads to; undefined where it holds none. */
function embeddedStart(range: string, bytes: readonly number[]): number | undefined {
  switch (range) {
    case '6to4':
      return 2
    case 'ipv4Mapped':
    case 'rfc6052':
    case 'rfc6145':
    case 'teredo':
      return 12
    default:
      // IPv4-compatible: twelve zero bytes (RFC 4291, 2.5.5.1).
      return bytes.findIndex((byte) => byte !== 0) >= 12 ? 12 : undefined
  }
}
