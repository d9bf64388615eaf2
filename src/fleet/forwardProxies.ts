import ipaddr from 'ipaddr.js'
import { isIP } from 'node:net'

export interface ProxySettings {
  /** For `http://` backends; empty for none. */
  readonly httpProxy: string
  /** For `https://` backends; empty for none. */
  readonly httpsProxy: string
  /** Backends that are reached directly. */
  readonly noProxy: readonly string[]
}

/** A proxy that forwards calls to backends. */
export interface ForwardProxy {
  /** `http://proxy:3128`, without credentials. */
  readonly origin: string
  readonly protocol: 'http:' | 'https:'
  /** Without the brackets of an IPv6 address. */
  readonly hostname: string
  readonly port: number
  /** Shown to the proxy alone, and never logged. */
  readonly auth: { readonly username: string; readonly password: string } | undefined
}

/** Says which backends are reached through a proxy: by scheme, but for those that `NO_PROXY` names. */
export class ForwardProxies {
  readonly #http: ForwardProxy | undefined
  readonly #https: ForwardProxy | undefined
  readonly #exceptions: readonly Exception[]

  constructor({ httpProxy, httpsProxy, noProxy }: ProxySettings) {
    this.#http = readProxy(httpProxy)
    this.#https = readProxy(httpsProxy)
    this.#exceptions = noProxy.map(readException)
  }

  /** The proxy for a URL; undefined where it is reached directly. */
  for(url: string): ForwardProxy | undefined {
    if (!this.#http && !this.#https) return undefined
    const { protocol, hostname, port } = new URL(url)
    const proxy = protocol === 'https:' ? this.#https : this.#http
    if (!proxy) return undefined
    const host = plainHost(hostname)
    const portNumber = Number(port || (protocol === 'https:' ? 443 : 80))
    return this.#exceptions.some((exception) => covers(exception, host, portNumber)) ? undefined : proxy
  }
}

/** No backend is reached through a proxy. */
export const NO_PROXIES = new ForwardProxies({ httpProxy: '', httpsProxy: '', noProxy: [] })

/** The value of `Proxy-Authorization` (RFC 7617). */
export function proxyAuthorization({ auth }: ForwardProxy): string | undefined {
  if (!auth) return undefined
  return `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString('base64')}`
}

function readProxy(text: string): ForwardProxy | undefined {
  if (text === '') return undefined
  const { origin, protocol, hostname, port, username, password } = new URL(text)
  return {
    origin,
    protocol: protocol === 'https:' ? 'https:' : 'http:',
    hostname: plainHost(hostname),
    port: Number(port || (protocol === 'https:' ? 443 : 80)),
    auth:
      username === '' && password === ''
        ? undefined
        : { username: decodeURIComponent(username), password: decodeURIComponent(password) },
  }
}

/** One entry of `NO_PROXY`. */
interface Exception {
  /** A name, an address, or `*`, in lower case. */
  readonly host: string
  /** `*.example.com`: only what is below the name. */
  readonly onlyBelow: boolean
  readonly range: [ipaddr.IPv4 | ipaddr.IPv6, number] | undefined
  /** Any where it is left out. */
  readonly port: number | undefined
}

/** `*`, `host`, `.suffix`, `*.suffix`, an address, a CIDR range; all but the last also with a port. */
function readException(text: string): Exception {
  const entry = text.trim().toLowerCase()
  if (ipaddr.isValidCIDR(entry)) {
    return { host: '', onlyBelow: false, range: ipaddr.parseCIDR(entry), port: undefined }
  }
  const [, host = entry, port] = /^(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(entry) ?? []
  return {
    host: plainHost(host.replace(/^\*?\./, '')),
    onlyBelow: host.startsWith('*.'),
    range: undefined,
    port: port === undefined ? undefined : Number(port),
  }
}

function covers(exception: Exception, host: string, port: number): boolean {
  if (exception.port !== undefined && exception.port !== port) return false
  if (exception.range) return isIP(host) !== 0 && isWithin(host, exception.range)
  if (exception.host === '*') return true
  if (host === exception.host) return !exception.onlyBelow
  return exception.host !== '' && host.endsWith(`.${exception.host}`)
}

function isWithin(host: string, [range, bits]: [ipaddr.IPv4 | ipaddr.IPv6, number]): boolean {
  const address = ipaddr.process(host)
  return address.kind() === range.kind() && address.match(range, bits)
}

/** Without brackets and without the dot that ends a fully qualified name; an address in its canonical form. */
function plainHost(hostname: string): string {
  const host = hostname
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/(?<=.)\.$/, '')
    .toLowerCase()
  return isIP(host) === 0 ? host : ipaddr.process(host).toString()
}
