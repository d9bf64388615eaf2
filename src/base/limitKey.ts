import ipaddr from 'ipaddr.js'
import { isIPv6 } from 'node:net'
import { remembered } from './remembered.ts'

/** Routers and hosts get an IPv6 network of this many bits, and take any address within it. */
const IPV6_NETWORK_BITS = 64

/**
 * What the limits of a caller are counted under: itself, but for an IPv6 address its network, since one host has 2^64 of them.
 * Jobs still belong to the exact address.
 */
export function limitKeyOf(caller: string): string {
  return caller.includes(':') ? keyOfIPv6(caller) : caller
}

const keyOfIPv6 = remembered((caller) => {
  // A caller may also be the name of a key, `key:…`.
  if (!isIPv6(caller)) return caller
  const { parts } = ipaddr.IPv6.parse(caller)
  const network = parts.slice(0, IPV6_NETWORK_BITS / 16).map((part) => part.toString(16))
  return `${network.join(':')}::/${IPV6_NETWORK_BITS}`
})
