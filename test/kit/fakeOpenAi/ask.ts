/** A request to a service, read. */
import { headerLines } from '../fakeServer/records.ts'
import type { ServiceEndpoint } from './options.ts'

/**
 * What a test wants of the service: the member `sim` of the body. Times in seconds or, where named so, milliseconds.
 * `failAfter`, `dieAfter`, `stallAfter`: after so many pieces of content, send an error event and end; break the
 * connection; say no more.
 */
export interface Script {
  seconds?: number
  pieceMs?: number
  /** What it says instead of an echo; a number of `pieces` says it so often. */
  text?: string
  pieces?: number
  failAfter?: number
  dieAfter?: number
  dieHow?: 'reset' | 'close'
  stallAfter?: number
  /** How many tokens of the prompt its usage says were cached; without it, usage does not tell. */
  cached?: number
}

export interface Ask {
  endpoint: ServiceEndpoint
  /** Below the prefix, e.g. `/audio/speech`. */
  path: string
  model: string | undefined
  /** The members of a JSON body, or the fields of a form. */
  members: Record<string, unknown>
  bodyLength: number
  isStream: boolean
  script: Script
}

const ENDPOINTS: [prefix: string, endpoint: ServiceEndpoint][] = [
  ['/models', 'models'],
  ['/chat/completions', 'chat'],
  ['/completions', 'completions'],
  ['/embeddings', 'embeddings'],
  ['/responses', 'responses'],
  ['/messages', 'messages'],
  ['/messages/count_tokens', 'countTokens'],
  ['/rerank', 'rerank'],
  ['/score', 'score'],
  ['/tokenize', 'tokenize'],
  ['/moderations', 'moderations'],
  ['/audio/', 'audio'],
  ['/images/', 'images'],
]

/** The endpoint that a URL belongs to: metrics are at the root, the others below the prefix. */
export function endpointOf(url: string, prefix: '/v1' | '' | 'both'): ServiceEndpoint | undefined {
  return url.split('?')[0] === '/metrics' ? 'metrics' : endpointAt(belowPrefix(url, prefix) ?? '')
}

function endpointAt(path: string): ServiceEndpoint | undefined {
  return ENDPOINTS.find(([start]) => (start.endsWith('/') ? path.startsWith(start) : path === start))?.[1]
}

/** The path without its prefix; `undefined` where the service has no such prefix. */
export function belowPrefix(url: string, prefix: '/v1' | '' | 'both'): string | undefined {
  const [path = ''] = url.split('?')
  const isBelowV1 = path === '/v1' || path.startsWith('/v1/')
  if (isBelowV1) return prefix === '' ? undefined : path.slice('/v1'.length)
  return prefix === '/v1' ? undefined : path
}

/** Throws SyntaxError if a JSON body is none. */
export function readAsk(endpoint: ServiceEndpoint, path: string, rawHeaders: readonly string[], body: Buffer): Ask {
  const contentType = headerLines(rawHeaders, 'content-type')[0] ?? ''
  const members = contentType.startsWith('multipart/') ? formFields(body) : jsonMembers(body)
  const { model, stream, sim } = members
  return {
    endpoint,
    path,
    model: typeof model === 'string' ? model : undefined,
    members,
    bodyLength: body.length,
    isStream: stream === true,
    script: { ...(typeof sim === 'object' ? sim : {}) },
  }
}

/** Words to answer with: told, or an echo of the last thing said. */
export function contentPieces({ members, script }: Ask): string[] {
  const text = script.text ?? `echo: ${lastWords(members)}`
  if (script.pieces !== undefined) return Array.from({ length: script.pieces }, () => text)
  return text.match(/\S+\s*|\s+/g) ?? []
}

function lastWords({ messages, prompt, input }: Record<string, unknown>): string {
  const last: unknown = Array.isArray(messages)
    ? (messages.at(-1) as { content?: unknown } | undefined)?.content
    : undefined
  const said = last ?? prompt ?? input ?? ''
  return typeof said === 'string' ? said : JSON.stringify(said)
}

function jsonMembers(body: Buffer): Record<string, unknown> {
  if (body.length === 0) return {}
  const value: unknown = JSON.parse(body.toString())
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

/** The fields of a form; of files only their length in bytes. */
function formFields(body: Buffer): Record<string, unknown> {
  const text = body.toString('latin1')
  const boundary = text.slice(0, text.indexOf('\r\n'))
  const fields: Record<string, unknown> = {}
  for (const part of text.split(boundary).slice(1, -1)) {
    const headEnd = part.indexOf('\r\n\r\n')
    const head = part.slice(0, headEnd)
    const value = part.slice(headEnd + 4, -2)
    const name = /name="([^"]*)"/.exec(head)?.[1]
    if (name !== undefined) fields[name] = /filename=/.test(head) ? value.length : value
  }
  return fields
}
