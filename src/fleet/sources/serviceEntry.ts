import { AddressError, parseAddress, serviceKey, type NodeSpec } from '../address.ts'

/** The members that an entry may have. */
export const SERVICE_MEMBERS = [
  ...['name', 'url', 'models', 'aliases', 'weight', 'concurrency'],
  ...['api_key', 'api_key_header', 'prefix', 'drain'],
]

/** The value of a variable of the environment; undefined where it is unset or empty. */
export type ReadVariable = (name: string) => string | undefined

type Members = Readonly<Record<string, unknown>>

/** Visible ASCII, which a header and a URL can carry as it is. */
const VISIBLE = /^[\x21-\x7e]+$/
/** A reference to a variable of the environment, in place of the whole key. */
const REFERENCE = /^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$/
/** A field name (RFC 9110, 5.6.2). */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

/** Headers that belong to the connection, to the body, or to the gateway itself. */
const RESERVED_HEADERS = new Set([
  ...['connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection', 'te', 'trailer'],
  ...['transfer-encoding', 'upgrade', 'host', 'expect', 'content-length', 'content-type', 'content-encoding'],
  ...['accept', 'accept-encoding', 'cookie', 'via', 'forwarded', 'x-request-id', 'traceparent', 'tracestate'],
  ...['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'origin'],
])

/**
 * Reads one entry of the services file. Members that are null count as absent, and so does an empty key: templates write
 * what they leave out in that way.
 *
 * @throws AddressError naming the member and what is allowed, never the value of a key
 */
export function readServiceEntry(entry: unknown, readVariable: ReadVariable): NodeSpec {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) throw new AddressError('not an object')
  const members = presentMembers(entry)
  const name = nameOf(members)
  const { address, query } = addressOf(members)
  const models = modelsOf(members)
  const aliases = aliasesOf(members)
  const weight = weightOf(members)
  const concurrency = concurrencyOf(members)
  const apiKey = keyOf(members, readVariable)
  const apiKeyHeader = keyHeaderOf(members)
  const prefix = prefixOf(members)
  const drain = drainOf(members)
  return {
    ...address,
    kind: 'openai',
    // Two services may share one address (other models, another key), and a node's address is never a service's.
    key: serviceKey(name, address.key),
    name,
    ...(query !== undefined && { query }),
    ...(models && { models }),
    ...(aliases && { aliases }),
    ...(weight !== undefined && { weight }),
    ...(concurrency !== undefined && { concurrency }),
    ...(apiKey !== undefined && { apiKey }),
    ...(apiKeyHeader !== undefined && { apiKeyHeader }),
    ...(prefix !== undefined && { prefix }),
    ...(drain && { drain }),
  }
}

function presentMembers(entry: object): Members {
  const isPresent = ([name, value]: [string, unknown]): boolean =>
    value !== null && !((name === 'api_key' || name === 'api_key_header') && value === '')
  return Object.fromEntries(Object.entries(entry).filter(isPresent))
}

/** It becomes the value of a header, where nothing else may stand. */
function nameOf({ name }: Members): string {
  if (typeof name === 'string' && /^[\x21-\x7e]+( [\x21-\x7e]+)*$/.test(name)) return name
  throw new AddressError('name must be a string of visible ASCII characters')
}

/** The address without a trailing `/v1`, which is the default prefix, and the query that every call carries. */
function addressOf({ url }: Members): { address: NodeSpec; query: string | undefined } {
  if (typeof url !== 'string') throw new AddressError('url must be a string')
  if (url.includes('#')) throw new AddressError('url must have no fragment')
  const [, path = '', query = ''] = /^([^?]*)\??(.*)$/s.exec(url) ?? []
  if (query !== '' && !VISIBLE.test(query)) throw new AddressError('the query of url must be visible ASCII characters')
  const address = parseAddress(path.replace(/\/+$/, '').replace(/\/v1$/, ''))
  return { address, query: query === '' ? undefined : query }
}

function modelsOf({ models }: Members): readonly string[] | undefined {
  if (models === undefined) return undefined
  if (Array.isArray(models) && models.every(isName)) return models
  throw new AddressError('models must be a list of strings, or ["*"] for any model')
}

function aliasesOf({ aliases }: Members): Readonly<Record<string, string>> | undefined {
  if (aliases === undefined) return undefined
  if (typeof aliases === 'object' && aliases !== null && !Array.isArray(aliases)) {
    const pairs = Object.entries(aliases)
    if (pairs.every(([alias, model]) => isName(alias) && isName(model))) return Object.fromEntries(pairs)
  }
  throw new AddressError('aliases must be an object of strings: the name that clients use, and the model it stands for')
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function weightOf({ weight }: Members): number | undefined {
  if (weight === undefined) return undefined
  if (typeof weight === 'number' && weight > 0 && Number.isFinite(weight)) return weight
  throw new AddressError('weight must be a number > 0')
}

function concurrencyOf({ concurrency }: Members): number | undefined {
  if (concurrency === undefined) return undefined
  if (Number.isInteger(concurrency) && (concurrency as number) > 0) return concurrency as number
  throw new AddressError('concurrency must be a whole number > 0')
}

function keyOf({ api_key: given }: Members, readVariable: ReadVariable): string | undefined {
  if (given === undefined) return undefined
  if (!(typeof given === 'string' && VISIBLE.test(given)))
    throw new AddressError('api_key must be a string of visible ASCII characters')
  const variable = REFERENCE.exec(given)?.[1]
  if (variable === undefined) {
    if (given.includes('${')) throw new AddressError('api_key must be the key or "${NAME}" alone')
    return given
  }
  const key = readVariable(variable)
  if (key === undefined) throw new AddressError(`api_key names the variable ${variable}, which is not set`)
  if (!VISIBLE.test(key)) throw new AddressError(`the variable ${variable} must hold visible ASCII characters`)
  return key
}

function keyHeaderOf({ api_key_header: header }: Members): string | undefined {
  if (header === undefined) return undefined
  if (!(typeof header === 'string' && TOKEN.test(header)))
    throw new AddressError('api_key_header must be the name of a header, such as "api-key"')
  const name = header.toLowerCase()
  if (RESERVED_HEADERS.has(name)) throw new AddressError(`api_key_header must not be ${name}, which has another use`)
  return name
}

function prefixOf({ prefix }: Members): string | undefined {
  if (prefix === undefined) return undefined
  if (typeof prefix === 'string' && /^(\/[\w.~!$&'()*+,;=:@%-]+)*\/*$/.test(prefix) && !/\/\.\.?(\/|$)/.test(prefix))
    return prefix.replace(/\/+$/, '')
  throw new AddressError('prefix must be "" or a path such as "/v1"')
}

function drainOf({ drain = false }: Members): boolean {
  if (typeof drain === 'boolean') return drain
  throw new AddressError('drain must be true or false')
}
