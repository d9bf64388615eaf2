import { isIP } from 'node:net'

/** What kind of backend an address leads to. */
export type NodeKind = 'infernet' | 'openai'

/** One backend as a source lists it. */
export interface NodeSpec {
  /** Identity: two spellings of one address have the same key. */
  readonly key: string
  readonly kind: NodeKind
  /** The spelling that people see, exactly as it was listed. */
  readonly name: string
  /** `http://host:port`, without a path. */
  readonly origin: string
  /** Path that all of its calls begin with: empty, or `/base` without a trailing slash. */
  readonly basePath: string
  /** How many jobs it runs at once, where its operator says. */
  readonly concurrency?: number
  /** It is to get no new work: its operator wants to switch it off. */
  readonly drain?: boolean
  /** Share relative to others: divides the routing score. */
  readonly weight?: number
  /** An OpenAI-compatible service's own list of models, which replaces the reported one; `*` stands for any model. */
  readonly models?: readonly string[]
  /** Names that clients use, each with the model that it stands for at this service. */
  readonly aliases?: Readonly<Record<string, string>>
  /** Path between `basePath` and the paths of the API, such as `/v1`; found by polls where it is left out. */
  readonly prefix?: string
  /** Query that every call carries, without `?`. May hold secrets: never logged. */
  readonly query?: string
  /** Sent upstream in place of the client's credentials. Never logged. */
  readonly apiKey?: string
  /** Lower-case name of the header that carries `apiKey`, in place of `Authorization: Bearer`. */
  readonly apiKeyHeader?: string
  /** What a registry tells of it besides, for operators. */
  readonly metadata?: Readonly<Record<string, unknown>>
  /** Left out where another list has a service of the same name, or at the same address. */
  readonly yields?: true
}

/** A name of which every address is a node, as a line of the addresses file has it: `dns://name[:port]`. */
export interface DnsName {
  readonly kind: 'dns'
  /** Two spellings of one name and port have the same key. */
  readonly key: string
  /** The spelling in the file. */
  readonly name: string
  readonly host: string
  /** Of every node behind the name. */
  readonly port: number
  readonly concurrency?: number
  readonly drain?: boolean
}

/** Whether a poll by either spec finds the same. */
export function sameService(a: NodeSpec, b: NodeSpec): boolean {
  return polledAs(a) === polledAs(b)
}

/** What decides the result of a poll, as one text. */
function polledAs({ apiKey, apiKeyHeader, models, aliases, prefix, query }: NodeSpec): string {
  return JSON.stringify({ apiKey, apiKeyHeader, models, aliases, prefix, query })
}

/** A refused address as it may be logged: without what may be a user name and password, all before its last `@`. */
export function withoutCredentials(address: string): string {
  return address.replace(/^(\s*[a-z][a-z0-9+.-]*:\/\/)?.*(?:@|%40)/is, '$1***@')
}

/** Why a line or an entry cannot be used; the text is for the operator's log. */
export class AddressError extends Error {}

const HOST_NAME = /^(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?$/

/**
 * Reads one address: `ip:port`, `[ipv6]:port`, `host`, `http(s)://host[:port][/base]`; a slash at the end makes no difference.
 * Without a port it is 80, for https 443, as two-step clients read it.
 *
 * @throws AddressError naming what is wrong
 */
export function parseAddress(name: string, more: Partial<NodeSpec> = {}): NodeSpec {
  // It is the value of a header, and two-step clients need not know more.
  if (!/^[\x21-\x7e]+$/.test(name))
    throw new AddressError('only visible ASCII characters; a host name in its xn-- form')
  const hasScheme = /^https?:\/\//i.test(name)
  if (!hasScheme && name.includes('://'))
    throw new AddressError('only http:// and https:// are understood, and dns:// in the addresses file')
  // One slash at the end is no path.
  const address = hasScheme ? name : name.replace(/\/$/, '')
  if (!hasScheme && /[/\\]/.test(address)) throw new AddressError('a path needs http:// or https:// before the host')
  if (!hasScheme && isIP(address) === 6) throw new AddressError('an IPv6 address needs brackets, as in [::1]:4000')
  const url = toUrl(hasScheme ? name : `http://${address}`)
  const [host = ''] = address.replace(/^https?:\/\//i, '').split('/')
  if (host.endsWith(':')) throw new AddressError('a port is missing after the colon')
  if (url.username || url.password) throw new AddressError('user names and passwords are not allowed')
  if (url.search || url.hash || name.includes('?') || name.includes('#')) {
    throw new AddressError('queries and fragments are not allowed')
  }
  if (!isHost(url.hostname)) throw new AddressError('the host is not a name or an address')
  // A URL reads 4000 as 0.0.15.160; whoever writes that means something else.
  if (isIP(url.hostname) === 4 && !name.includes(url.hostname)) {
    throw new AddressError('an IPv4 address needs four decimal numbers')
  }
  if (url.port === '0') throw new AddressError('the port must be from 1 to 65535')
  const basePath = url.pathname.replace(/\/+$/, '')
  const port = url.port || (url.protocol === 'https:' ? '443' : '80')
  return {
    kind: 'infernet',
    ...more,
    key: `${url.protocol}//${plainHost(url.hostname)}:${port}${basePath}`,
    name,
    origin: url.origin,
    basePath,
  }
}

function toUrl(text: string): URL {
  try {
    return new URL(text)
  } catch {
    throw new AddressError('not an address: expected ip:port, [ipv6]:port, host or http(s)://host[:port][/base]')
  }
}

/** An IPv4 address that is written as an IPv6 one (RFC 4291, 2.5.5.2) is the same host. */
function plainHost(hostname: string): string {
  const mapped = /^\[::ffff:([0-9a-f]+):([0-9a-f]+)\]$/.exec(hostname)
  if (!mapped) return hostname
  return mapped
    .slice(1)
    .flatMap((part) => [parseInt(part, 16) >> 8, parseInt(part, 16) & 0xff])
    .join('.')
}

function isHost(hostname: string): boolean {
  return hostname.startsWith('[') ? isIP(hostname.slice(1, -1)) === 6 : isIP(hostname) === 4 || HOST_NAME.test(hostname)
}

/** Longest address with its options, characters. */
const MAX_LINE = 2000

/** What may follow an address in its line. */
interface LineOptions {
  concurrency?: number
  drain?: boolean
}

/**
 * Reads one line of the addresses' file: an address or `dns://name[:port]`, then optionally `concurrency=4`, `drain`.
 * `undefined` for blank lines and comments.
 *
 * @throws AddressError naming what is wrong
 */
export function parseAddressLine(line: string): NodeSpec | DnsName | undefined {
  const text = line.replace(/(^|\s)#.*$/, '').trim()
  if (!text) return undefined
  if (text.length > MAX_LINE) throw new AddressError(`an address with its options has at most ${MAX_LINE} characters`)
  const [address = '', ...options] = text.split(/\s+/)
  const more: LineOptions = {}
  for (const option of options) {
    const [name, value = ''] = option.split('=')
    // A password with blanks in it looks like an option from there on.
    const shown = withoutCredentials(line) === line ? ` "${option}"` : ''
    if (option === 'drain') {
      more.drain = true
      continue
    }
    if (name !== 'concurrency') throw new AddressError(`unknown option${shown}; allowed: concurrency=N, drain`)
    if (!/^[1-9]\d{0,5}$/.test(value)) throw new AddressError('concurrency must be a whole number from 1 to 999999')
    more.concurrency = Number(value)
  }
  return /^dns:/i.test(address) ? parseDnsName(address, more) : parseAddress(address, more)
}

function parseDnsName(name: string, more: LineOptions): DnsName {
  const address = /^dns:\/\/([^/]*)\/?$/i.exec(name)?.[1]
  if (!address) throw new AddressError('expected dns://name or dns://name:port, without a path')
  const { hostname, port } = new URL(parseAddress(address).origin)
  return {
    kind: 'dns',
    ...more,
    key: `dns://${hostname}:${port || '80'}`,
    name,
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port || '80'),
  }
}

/** The key of a service, whose name stands before the address in it. */
export function serviceKey(name: string, addressKey: string): string {
  return `openai:${name}@${addressKey}`
}

/** The address in a service's key: two spellings of one are the same. */
export function serviceAddressOf({ key, name }: NodeSpec): string {
  return key.slice(serviceKey(name, '').length)
}

/** The full URL of a node, as tickets and `/services` show it. */
export function urlOf(spec: NodeSpec): string {
  return spec.origin + spec.basePath
}
