/** Valid requests to begin with: every endpoint that the gateway has, with a body where it takes one. */
import { jobOf } from '../kit/builders/jobs.ts'
import type { Chance } from './chance.ts'

export interface Seed {
  readonly method: string
  readonly path: string
  readonly body?: string
  readonly contentType?: string
}

export const MODEL = 'fuzzed-model'
export const CONTAINER = 'fuzzed'

const job = JSON.stringify(jobOf({ prompt: 'hello' }, [CONTAINER]))
const subscription = JSON.stringify({
  subscription: { containers: `0x${'ab'.repeat(32)}`, owner: '0x0', interval: 1 },
  signature: { nonce: 1, expiry: 2, v: 27, r: 3, s: 4 },
  data: {},
})
const chat = JSON.stringify({ model: MODEL, messages: [{ role: 'user', content: 'hello' }] })
const streamedChat = JSON.stringify({ model: MODEL, stream: true, messages: [{ role: 'user', content: 'hello' }] })
const form = ['--edge', 'Content-Disposition: form-data; name="model"', '', MODEL, '--edge--', ''].join('\r\n')
const ID = '01234567-89ab-cdef-0123-456789abcdef'

export const SEEDS: readonly Seed[] = [
  { method: 'POST', path: '/api/jobs', body: job },
  { method: 'POST', path: '/api/jobs', body: job },
  { method: 'POST', path: '/api/jobs', body: subscription },
  { method: 'POST', path: '/api/jobs/batch', body: `[${job},${subscription},${job}]` },
  { method: 'POST', path: '/api/jobs/stream', body: job },
  { method: 'GET', path: '/api/jobs' },
  { method: 'GET', path: `/api/jobs?id=${ID}&id=${ID}&intermediate=true` },
  { method: 'GET', path: '/api/jobs?pending=true' },
  { method: 'PUT', path: '/api/status', body: JSON.stringify({ id: ID, status: 'success', containers: [CONTAINER] }) },
  { method: 'GET', path: '/info' },
  { method: 'GET', path: '/resources' },
  { method: 'GET', path: `/resources?model_id=${MODEL}` },
  { method: 'GET', path: `/api/v1/ips?container=${CONTAINER}&n=3&offset=0` },
  { method: 'GET', path: `/api/v1/ip?container=${CONTAINER}` },
  { method: 'GET', path: '/api/v1/containers' },
  { method: 'GET', path: '/api/v1/resources?model_id=m' },
  { method: 'POST', path: '/route/', body: JSON.stringify({ endpoint: CONTAINER, cost: 1, api_key: 'x' }) },
  { method: 'GET', path: '/pubkey/' },
  { method: 'POST', path: '/v1/chat/completions', body: chat },
  { method: 'POST', path: '/v1/chat/completions', body: streamedChat },
  { method: 'POST', path: '/chat/completions', body: chat },
  { method: 'POST', path: '/v1/embeddings', body: JSON.stringify({ model: MODEL, input: 'hello' }) },
  { method: 'POST', path: '/v1/messages', body: chat },
  { method: 'POST', path: '/v1/responses', body: JSON.stringify({ model: MODEL, input: 'hello' }) },
  { method: 'POST', path: '/v1/audio/speech', body: form, contentType: 'multipart/form-data; boundary=edge' },
  { method: 'GET', path: '/v1/models' },
  { method: 'GET', path: '/health' },
  { method: 'GET', path: '/livez' },
  { method: 'GET', path: '/readyz' },
  { method: 'GET', path: '/services' },
  { method: 'GET', path: '/stats' },
  { method: 'GET', path: '/metrics' },
  { method: 'GET', path: '/dashboard' },
  { method: 'GET', path: '/openapi.json' },
  { method: 'GET', path: '/' },
]

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND', 'QUERY']

/** A method: most often the seed's own. */
export function methodFor(seed: Seed, chance: Chance): string {
  return chance.happens(0.9) ? seed.method : chance.of(METHODS)
}

const PATH_PIECES = [
  ...['//', '/../', '/./', '%2e%2e', '%2f', '%00', '%', '%zz', '%ff', ';', '#', '\\', ':', '@', '*', '?', '&', '='],
  ...['?id=', '&id=a', '?n=-1', '?n=1e9', '&offset=99999999999999999999', '?container=', `?container=${CONTAINER}`],
  ...['?wait=1', '?limit=x', '?after=y', `?model_id=${'m'.repeat(300)}`, '?container=a&'.repeat(50)],
]

/** A path: the seed's own, or one with pieces put in, taken out or repeated. Never holds a space or a control character. */
export function pathFor(seed: Seed, chance: Chance): string {
  let path = seed.path
  if (chance.happens(0.8)) return path
  for (let changes = 1 + chance.below(3); changes > 0; changes--) {
    const at = chance.below(path.length + 1)
    const kind = chance.below(5)
    if (kind === 0) path = path.slice(0, at) + chance.of(PATH_PIECES) + path.slice(at)
    else if (kind === 1) path += chance.of(PATH_PIECES)
    else if (kind === 2) path = path.slice(0, at) + path.slice(at + 1 + chance.below(5))
    else if (kind === 3) path = `/${path}`
    else path = path.slice(0, at) + chance.word(chance.below(200)) + path.slice(at)
  }
  return path.startsWith('/') ? path : `/${path}`
}
