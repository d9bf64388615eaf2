/** Where jobs are kept, as a STATE_URL names it. */
export type StateUrl = { readonly kind: 'memory' } | { readonly kind: 'sqlite'; readonly file: string } | RedisUrl

export interface RedisUrl {
  readonly kind: 'redis'
  readonly host: string
  readonly port: number
  /** `rediss:` */
  readonly isTls: boolean
  readonly username?: string
  readonly password?: string
  /** The number of the database. */
  readonly database: number
  /** What the names of all keys begin with, in braces. */
  readonly prefix: string
}

const ALLOWED = 'allowed are sqlite:FILE, memory: and redis://HOST'
const REDIS_PORT = 6379
const PREFIX = 'igw'
const REDIS_FORM = 'redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE][?prefix=NAME]'

/** A STATE_URL that names no store that we know. The message is one line for the operator and holds no secrets. */
export class StateUrlError extends Error {
  override readonly name = 'StateUrlError'
  /** Whether Redis is meant, of whose URL the message explains what is wrong. */
  readonly isOfRedis: boolean

  constructor(message: string, isOfRedis = false) {
    super(message)
    this.isOfRedis = isOfRedis
  }
}

/**
 * Takes a STATE_URL apart. A scheme may be written in any case (RFC 3986, 3.1).
 *
 * @throws StateUrlError
 */
export function parseStateUrl(url: string): StateUrl {
  const [, scheme = '', rest = ''] = /^([a-z][a-z0-9+.-]*):(.*)$/is.exec(url) ?? []
  switch (scheme.toLowerCase()) {
    case 'memory':
      if (rest !== '') throw new StateUrlError('memory: takes no path')
      return { kind: 'memory' }
    case 'sqlite':
      return { kind: 'sqlite', file: filePath(rest) }
    case 'redis':
    case 'rediss':
      return redisUrl(scheme.toLowerCase(), rest)
    case '':
      throw new StateUrlError(`it begins with no scheme; ${ALLOWED}`)
    default:
      throw new StateUrlError(`${scheme}: is not known; ${ALLOWED}`)
  }
}

/**
 * The file as it stands after the scheme. A URL with an empty host (`sqlite:///data/jobs.db`) is understood too; one with a
 * host is not, for `sqlite://data/x.db` would be the absolute path /x.db, which hardly anybody means.
 */
function filePath(rest: string): string {
  const isUrl = rest.startsWith('//')
  if (rest === '' || rest.startsWith(':') || rest.includes('\0') || (isUrl && !rest.startsWith('///'))) {
    throw new StateUrlError('sqlite: needs a file, as in sqlite:data/gateway.db')
  }
  return isUrl ? rest.slice(2) : rest
}

function redisUrl(scheme: string, rest: string): RedisUrl {
  const refuse = (why: string): never => {
    throw new StateUrlError(`${scheme}: ${why}; it is written ${REDIS_FORM}`, true)
  }
  // The last @ ends the password, which may hold anything.
  const authority = rest.replace(/^\/\//, '').replace(/[/?#].*$/s, '')
  if (!rest.startsWith('//') || authority === '') refuse('needs a host')
  if (authority.slice(authority.lastIndexOf('@') + 1).includes(',')) {
    refuse('takes one host: lists of a cluster or of Sentinels are not supported')
  }
  // As http, of which all parts are checked.
  const url = URL.parse(`http:${rest}`)
  if (!url) return refuse('is not a valid URL (special characters of a password are to be written as %XX)')
  if (url.hash !== '') refuse('takes no #')
  return {
    kind: 'redis',
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    // A port of 80 is dropped from the URL as the one that http has anyway.
    port: url.port === '' ? (/:0*80$/.test(authority) ? 80 : REDIS_PORT) : Number(url.port),
    isTls: scheme === 'rediss',
    ...(url.username !== '' && { username: decoded(url.username, refuse) }),
    ...(url.password !== '' && { password: decoded(url.password, refuse) }),
    database: databaseOf(url.pathname, refuse),
    prefix: prefixOf(url.searchParams, refuse),
  }
}

type Refuse = (why: string) => never

function decoded(text: string, refuse: Refuse): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return refuse('has a user or password with a % that is not followed by two hexadecimal digits')
  }
}

function databaseOf(pathname: string, refuse: Refuse): number {
  const [, digits] = /^\/(\d{0,5})$/.exec(pathname) ?? refuse('takes the number of a database as its path')
  return Number(digits)
}

function prefixOf(query: URLSearchParams, refuse: Refuse): string {
  const [prefix = PREFIX, ...others] = query.getAll('prefix')
  if (others.length > 0 || [...query.keys()].some((name) => name !== 'prefix'))
    refuse('takes no query but ?prefix=NAME')
  if (!/^[\w.:-]{1,64}$/.test(prefix)) refuse('takes a prefix of 1 to 64 letters, digits, and any of _ . : -')
  return prefix
}
