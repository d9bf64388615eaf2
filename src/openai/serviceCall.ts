import { keyHeaderOf, type TrackedNode } from '../fleet/index.ts'
import { type FlatHeaders, replaceCredentials } from '../upstream/index.ts'

/** The path of a call at a service, from the path behind the prefix. */
export function pathAt({ spec, prefix }: TrackedNode, path: string): string {
  const whole = spec.basePath + prefix + path
  return spec.query === undefined ? whole : withQuery(whole, spec.query)
}

/** A service's own key takes the place of whatever the client showed. */
export function headersFor({ spec }: TrackedNode, path: string, headers: FlatHeaders): FlatHeaders {
  const keyHeader = keyHeaderOf(spec)
  if (!keyHeader) return headers
  const { apiKey = '', apiKeyHeader } = spec
  const own = [...keyHeader]
  // Anthropic's dialect, and clients of it, know only this header.
  if (apiKeyHeader === undefined && (isMessages(path) || hasHeader(headers, 'x-api-key'))) own.push('x-api-key', apiKey)
  return replaceCredentials(headers, keyHeader[0], own)
}

/** Names and values alternate; names are in lower case. */
function hasHeader(headers: FlatHeaders, name: string): boolean {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return true
  return false
}

/** Whether a path behind the prefix is of Anthropic's dialect. */
function isMessages(path: string): boolean {
  return /^\/messages(?=[/?]|$)/i.test(path)
}

/** Appends the operator's query; parameters of a client with the same names give way. */
function withQuery(path: string, query: string): string {
  const start = path.indexOf('?')
  if (start < 0) return `${path}?${query}`
  const own = new Set(query.split('&').map(nameOf))
  const kept = path
    .slice(start + 1)
    .split('&')
    .filter((parameter) => parameter !== '' && !own.has(nameOf(parameter)))
  return `${path.slice(0, start)}?${[...kept, query].join('&')}`
}

/** The name of a parameter of a query, decoded. */
export function nameOf(parameter: string): string {
  const [name = ''] = parameter.split('=', 1)
  try {
    return decodeURIComponent(name.replaceAll('+', ' '))
  } catch {
    return name
  }
}
