import ipaddr from 'ipaddr.js'
import { isIP } from 'node:net'
import type { Logger } from '../../base/logger.ts'
import { parseAddress, type NodeSpec } from '../address.ts'
import { PolledList, type Listed, type PolledListOptions } from './polledList.ts'
import { isPrivate, type IpAddress } from './privateRange.ts'

const MOST_NODES = 10_000
const MAX_ENTRY_BYTES = 16 * 1024
/** A node listed without a port listens on Infernet's own. */
const DEFAULT_PORT = 4000

export interface ExplorerOptions extends PolledListOptions {
  /** Base URL of the Node Explorer. */
  readonly apiUrl: string
}

/** Addresses from a Node Explorer. */
export class Explorer extends PolledList {
  constructor({ apiUrl, ...options }: ExplorerOptions, logger: Logger) {
    const server = {
      name: 'explorer' as const,
      url: `${apiUrl.replace(/\/+$/, '')}/api/nodes`,
      params: { minutes_past: 60 },
      member: 'data',
      most: MOST_NODES,
      maxEntryBytes: MAX_ENTRY_BYTES,
      needs: 'an "ip" that is an address, and a valid port',
      reader: (allowPrivate: boolean) => (entry: unknown) => readEntry(entry, allowPrivate),
    }
    super(server, options, logger)
  }
}

function readEntry(entry: unknown, allowPrivate: boolean): Listed {
  // A zone, as in fe80::1%eth0, means something only on the host that says it.
  if (!hasIp(entry) || isIP(entry.ip) === 0 || entry.ip.includes('%')) return undefined
  const port = portOf(entry)
  if (port === undefined) return undefined
  // An IPv4 address in IPv6 clothes is the IPv4 address.
  const address = ipaddr.process(entry.ip)
  return allowPrivate || !isPrivate(address) ? specOf(address, port) : 'private'
}

function specOf(address: IpAddress, port: number): NodeSpec {
  return parseAddress(address.kind() === 'ipv6' ? `[${address.toString()}]:${port}` : `${address.toString()}:${port}`)
}

function hasIp(entry: unknown): entry is { ip: string; port?: unknown } {
  return typeof (entry as { ip?: unknown } | null)?.ip === 'string'
}

/** A number or its digits; undefined for anything else. */
function portOf({ port }: { port?: unknown }): number | undefined {
  if (port === undefined || port === null) return DEFAULT_PORT
  const number = typeof port === 'string' && /^\d+$/.test(port) ? Number(port) : port
  return Number.isInteger(number) && (number as number) >= 1 && (number as number) <= 65535
    ? (number as number)
    : undefined
}
