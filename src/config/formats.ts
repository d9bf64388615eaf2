import convict from 'convict'
import ipaddr from 'ipaddr.js'
import { parseStateUrl, StateUrlError } from '../base/stateUrl.ts'

/**
 * What a value may be, one convict format each. `coerce` reads text and leaves it alone where it is not understood, so
 * that `validate` meets the original and says what is allowed. Convict's own number and port formats are not used:
 * they read `80x` as 80.
 */
export interface FormatOptions {
  /** Least and greatest allowed value, in the setting's own unit. */
  min?: number
  max?: number
  /** The words that a `choice` may be. */
  choices?: readonly string[]
  /** Whether `text` may be empty. */
  optional?: boolean
}

const bytesPerUnit: Readonly<Record<string, number>> = { b: 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3, tb: 1024 ** 4 }

/** Bytes in a size such as `10mb`, `1.5gb`, `512kb` or `1048576` (units of 1024); undefined where it is none. */
function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(b|kb|mb|gb|tb)?$/i.exec(text)
  if (!match) return undefined
  return Math.floor(Number(match[1]) * (bytesPerUnit[match[2]?.toLowerCase() ?? 'b'] ?? 1))
}

/** A number of bytes in the greatest unit that divides it: 10485760 is `10mb`. */
export function formatSize(bytes: number): string {
  for (const unit of ['tb', 'gb', 'mb', 'kb']) {
    const size = bytesPerUnit[unit] ?? 1
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`
  }
  return bytes === 1 ? '1 byte' : String(bytes)
}

function refuseUnless(allowed: boolean, what: string): asserts allowed {
  if (!allowed) throw new Error(`must be ${what}`)
}

const isWithin = (value: unknown, { min = 0, max = 0 }: FormatOptions) =>
  typeof value === 'number' && value >= min && value <= max

const isWhole = (value: unknown, bounds: FormatOptions) => Number.isSafeInteger(value) && isWithin(value, bounds)

const splitList = (text: string) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')

/** Text to a list. Commas alone stay text, and are refused: a list that was meant must not silently become none. */
function coerceList(text: string): string[] | string {
  const items = splitList(text)
  return items.length === 0 && text !== '' ? text : items
}

const isTextList = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string')

/** Four-part IPv4 or IPv6; not the short, octal and hexadecimal IPv4 spellings that `ipaddr.isValid` lets through. */
const isAddress = (text: string) =>
  ipaddr.IPv4.isValidFourPartDecimal(text) || (ipaddr.IPv6.isValid(text) && !text.includes('%'))

const isRange = (text: string) => ipaddr.IPv4.isValidCIDRFourPartDecimal(text) || ipaddr.IPv6.isValidCIDR(text)

/** The named ranges that Express's `trust proxy` knows. */
const namedRanges = ['loopback', 'linklocal', 'uniquelocal']

const isTrustedProxy = (text: string) =>
  isAddress(text) || namedRanges.includes(text) || (isRange(text) && !/\/0+$/.test(text))

/** Visible ASCII without commas: what fits into a header and into a comma-separated list. */
const isKey = (text: string) => /^[!-+\--~]+$/.test(text)

const isHost = (text: string) =>
  isAddress(text) || (/^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(text) && !/^[\d.]+$/.test(text))

function isHttpUrl(text: string): boolean {
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return false
  const { search, hash } = new URL(text)
  return search === '' && hash === ''
}

/** A proxy's URL. Where it has no scheme it is http, as other programs read it. */
const coerceProxyUrl = (text: string) =>
  text === '' || /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text.replace(/\/+$/, '') : `http://${text}`

function isProxyUrl(text: string): boolean {
  if (!isHttpUrl(text)) return false
  const { pathname, username, password } = new URL(text)
  return pathname === '/' && isEncoded(username) && isEncoded(password)
}

/** Whether every `%` begins an escape of UTF-8. */
function isEncoded(text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}

/** An origin as browsers send it (RFC 6454, 6.2): lower case, no default port, no path. */
const isOrigin = (text: string) => /^https?:\/\//.test(text) && URL.canParse(text) && new URL(text).origin === text

function validateTrustProxy(value: unknown, { max = 0 }: FormatOptions): void {
  const allowed = value === false || isWhole(value, { max }) || (isTextList(value) && value.every(isTrustedProxy))
  refuseUnless(
    allowed,
    `false, the number of proxies in front (at most ${max}), or their addresses or CIDR ranges (not /0), ` +
      `${namedRanges.join(', ')} (true would let any client write its own address)`,
  )
}

function coerceTrustProxy(text: string): unknown {
  if (/^(true|false)$/i.test(text)) return text.toLowerCase() === 'true'
  if (text === '') return false
  return /^\d+$/.test(text) ? Number(text) : coerceList(text)
}

function validateStateUrl(value: unknown): void {
  try {
    parseStateUrl(String(value))
  } catch (error) {
    const isOfRedis = error instanceof StateUrlError && error.isOfRedis
    const hint = isOfRedis ? `; ${error.message}` : ', such as sqlite:data/gateway.db'
    refuseUnless(false, `memory:, sqlite:FILE or redis://HOST${hint}`)
  }
}

type Format = { validate: (value: unknown, options: FormatOptions) => void; coerce?: (text: string) => unknown }

const formats = {
  'whole-number': {
    coerce: (text) => (/^\d+$/.test(text) ? Number(text) : text),
    validate: (value, bounds) =>
      refuseUnless(isWhole(value, bounds), `a whole number from ${bounds.min} to ${bounds.max}`),
  },
  workers: {
    coerce: (text) => (/^\d+$/.test(text) ? Number(text) : text.toLowerCase()),
    validate: (value, bounds) =>
      refuseUnless(
        value === 'auto' || isWhole(value, bounds),
        `a whole number from ${bounds.min} to ${bounds.max}, or auto`,
      ),
  },
  seconds: {
    coerce: (text) => (/^(\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : text),
    validate: (value, bounds) =>
      refuseUnless(
        isWithin(value, bounds),
        `a number of seconds from ${bounds.min} to ${bounds.max}, fractions allowed, without a unit`,
      ),
  },
  size: {
    coerce: (text) => parseSize(text) ?? text,
    validate: (value, bounds) =>
      refuseUnless(
        isWhole(value, bounds),
        `a size from ${formatSize(bounds.min ?? 0)} to ${formatSize(bounds.max ?? 0)}, such as 10mb, 512kb or a plain number of bytes`,
      ),
  },
  'true-or-false': {
    coerce: (text) => (/^(true|false)$/i.test(text) ? text.toLowerCase() === 'true' : text),
    validate: (value) => refuseUnless(typeof value === 'boolean', 'true or false'),
  },
  choice: {
    validate: (value, { choices = [] }) =>
      refuseUnless(typeof value === 'string' && choices.includes(value), `one of ${choices.join(', ')}`),
  },
  text: {
    validate: (value, { optional = false }) =>
      refuseUnless(
        typeof value === 'string' && (optional || value !== '') && !/^[a-z][a-z0-9+.-]+:\/\//i.test(value),
        'the name of a file',
      ),
  },
  host: {
    coerce: (text) => text.replace(/^\[(.*)\]$/, '$1'),
    validate: (value) =>
      refuseUnless(typeof value === 'string' && isHost(value), 'an IP address or a host name, without a port'),
  },
  'http-url': {
    coerce: (text) => text.replace(/\/+$/, ''),
    validate: (value) =>
      refuseUnless(
        value === '' || (typeof value === 'string' && isHttpUrl(value)),
        'an http:// or https:// URL without query and fragment',
      ),
  },
  'proxy-url': {
    coerce: coerceProxyUrl,
    validate: (value) =>
      refuseUnless(
        value === '' || (typeof value === 'string' && isProxyUrl(value)),
        'an http:// or https:// URL of a proxy without a path, such as http://proxy.example:3128',
      ),
  },
  // Other programs read it too, so that what only they understand must not stop the start.
  hosts: {
    coerce: (text) => splitList(text.replace(/\s+/g, ',')),
    validate: (value) => refuseUnless(isTextList(value), 'a comma-separated list of hosts'),
  },
  'state-url': { validate: validateStateUrl },
  'trust-proxy': { coerce: coerceTrustProxy, validate: validateTrustProxy },
  addresses: {
    coerce: coerceList,
    validate: (value) =>
      refuseUnless(
        isTextList(value) && value.every((item) => isAddress(item) || isRange(item)),
        'comma-separated IP addresses or CIDR ranges, such as 127.0.0.1,10.0.0.0/8',
      ),
  },
  keys: {
    coerce: coerceList,
    validate: (value) =>
      refuseUnless(isTextList(value) && value.every(isKey), 'comma-separated keys of visible ASCII without whitespace'),
  },
  origins: {
    coerce: coerceList,
    validate: (value) =>
      refuseUnless(
        isTextList(value) && value.every((item) => item === '*' || isOrigin(item)),
        'comma-separated origins, such as https://app.example,http://localhost:3000 (no path, no default port), or *',
      ),
  },
  key: {
    validate: (value) =>
      refuseUnless(
        value === '' || (typeof value === 'string' && isKey(value)),
        'one key of visible ASCII without commas and whitespace',
      ),
  },
} satisfies Record<string, Format>

export type FormatName = keyof typeof formats

convict.addFormats(formats as Record<string, convict.Format>)

/** Addresses in one spelling: IPv4-mapped IPv6 as IPv4, each once; ranges as they are. */
export const canonicalAddresses = (addresses: readonly string[]): string[] => [
  ...new Set(addresses.map((address) => (isAddress(address) ? ipaddr.process(address).toString() : address))),
]
