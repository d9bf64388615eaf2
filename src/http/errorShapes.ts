import { FAULTS, type GatewayFault } from '../faults.ts'

/** How the body of an error looks: each API has clients that read no other shape. */
export type ErrorShape = 'plain' | 'openai' | 'anthropic'

/** The shape of errors at a path. The short paths, such as `/chat/completions`, keep the plain one. */
export function errorShapeAt(path: string): ErrorShape {
  const [, first = '', second = ''] = path.toLowerCase().split('/', 3)
  if (first === 'v1') return second.startsWith('messages') ? 'anthropic' : 'openai'
  return first === 'openai' ? 'openai' : 'plain'
}

/** The body of an error in JSON. */
export function errorBody(fault: GatewayFault, shape: ErrorShape = 'plain'): string {
  return JSON.stringify(BODIES[shape](fault))
}

const BODIES: Readonly<Record<ErrorShape, (fault: GatewayFault) => object>> = {
  plain: ({ message, params }) => ({ error: message, ...(params && { params }) }),
  openai: ({ message, code }) => {
    const { status, clientCode } = FAULTS[code]
    return { error: { message, type: openAiType(status), param: null, code: clientCode } }
  },
  anthropic: ({ message, code }) => ({ type: 'error', error: { type: anthropicType(FAULTS[code].status), message } }),
}

/** OpenAI's word for a status. */
function openAiType(status: number): string {
  if (status === 401) return 'authentication_error'
  if (status === 429) return 'rate_limit_error'
  return status >= 500 ? 'server_error' : 'invalid_request_error'
}

/** Anthropic's words for statuses; other 4xx are `invalid_request_error`, other 5xx `api_error`. */
const ANTHROPIC_TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  503: 'overloaded_error',
}

function anthropicType(status: number): string {
  return ANTHROPIC_TYPES[status] ?? (status >= 500 ? 'api_error' : 'invalid_request_error')
}
