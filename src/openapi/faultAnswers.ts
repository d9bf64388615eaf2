import { FAULTS, GatewayFault, type Fault, type FaultCode } from '../faults.ts'
import { errorBody, type ErrorShape } from '../http/errorShapes.ts'
import { named, type Answer, type Answers, type Example, type Header, type Media, type Reference } from './openApi.ts'

/** What may go wrong with any request at all, before its path matters. */
const ANYWHERE: readonly FaultCode[] = [
  'ERR_BAD_REQUEST',
  'ERR_OTHER_SITE',
  'ERR_NOT_FOUND',
  'ERR_METHOD_NOT_ALLOWED',
  'ERR_REQUEST_TIMEOUT',
  'ERR_EXPECTATION',
  'ERR_HEADERS_TOO_LARGE',
  'ERR_INTERNAL',
]

/** Every call at the one base URL. */
export const CLIENT_FAULTS: readonly FaultCode[] = ['ERR_UNAUTHORIZED', 'ERR_RATE_LIMITED', 'ERR_LOOP', 'ERR_NOT_READY']
/** Those that start something. */
export const WORK_FAULTS: readonly FaultCode[] = [...CLIENT_FAULTS, 'ERR_DRAINING']
/** Every JSON body. */
export const BODY_FAULTS: readonly FaultCode[] = [
  'ERR_BAD_JSON',
  'ERR_BAD_SHAPE',
  'ERR_BODY_TOO_LARGE',
  'ERR_BODY_ENCODED',
  'ERR_BAD_ENCODING',
  'ERR_MEMORY_BUDGET',
]
/** What may become of a request that is forwarded to a backend. */
export const BACKEND_FAULTS: readonly FaultCode[] = [
  'ERR_NO_SOCKET',
  'ERR_ANSWER_BUDGET',
  'ERR_NODE_REFUSED',
  'ERR_NODE_RESET',
  'ERR_NODE_BROKE',
  'ERR_NODE_NONSENSE',
  'ERR_NODE_SILENT',
  'ERR_NODE_SLOW',
]
/** What is left to say where every backend that could take it turned it away, or had no place for it. */
export const PUSHBACK_FAULTS: readonly FaultCode[] = ['ERR_NODE_BUSY', 'ERR_QUEUE_FULL', 'ERR_QUEUE_TIMEOUT']

/** On answers to OpenAI calls of a key with a limit of tokens. */
export const TOKEN_LIMIT_HEADERS: readonly string[] = [
  'X-RateLimit-Limit-Tokens',
  'X-RateLimit-Remaining-Tokens',
  'X-RateLimit-Reset-Tokens',
]

/** Response headers by the status that they come with. */
const HEADERS_BY_STATUS: Readonly<Record<number, readonly string[]>> = {
  401: ['WWW-Authenticate'],
  429: ['Retry-After', 'RateLimit-Limit', 'RateLimit-Remaining', 'RateLimit-Reset', ...TOKEN_LIMIT_HEADERS],
  502: ['Retry-After'],
  503: ['Retry-After'],
}

const RAISED_BY = {
  client: 'Raised by the request itself.',
  gateway: 'Raised by the state of the gateway.',
  upstream: 'Raised by a backend.',
}

/** Every call that goes to a service which has its model, and `GET /v1/models`. */
export const OPENAI_FAULTS: readonly FaultCode[] = [
  ...WORK_FAULTS,
  ...BODY_FAULTS,
  'ERR_NO_MODEL',
  'ERR_MODEL_NOT_FOUND',
  'ERR_NO_RESPONSE',
  'ERR_NO_SERVICE',
  ...BACKEND_FAULTS,
  ...PUSHBACK_FAULTS,
]

/** What a WebSocket to a service may be refused for. */
export const REALTIME_FAULTS: readonly FaultCode[] = [
  ...OPENAI_FAULTS.filter((code) => !BODY_FAULTS.includes(code) || code === 'ERR_BAD_SHAPE'),
  'ERR_NO_UPGRADE',
]

interface Shaped {
  readonly schema: string
  /** Of the shared answer for faults of any request. */
  readonly anyFault: string
  readonly codes: readonly FaultCode[]
}

const SHAPED: Readonly<Record<ErrorShape, Shaped>> = {
  // Nobody is left to see that a client has gone, and only one path wants an upgrade.
  plain: {
    schema: 'Error',
    anyFault: 'AnyFault',
    codes: (Object.keys(FAULTS) as FaultCode[]).filter(
      (code) => code !== 'ERR_CLIENT_GONE' && code !== 'ERR_NO_UPGRADE',
    ),
  },
  openai: {
    schema: 'OpenAiError',
    anyFault: 'AnyOpenAiFault',
    codes: [...OPENAI_FAULTS, 'ERR_NO_UPGRADE', ...ANYWHERE],
  },
  anthropic: { schema: 'AnthropicError', anyFault: 'AnyAnthropicFault', codes: [...OPENAI_FAULTS, ...ANYWHERE] },
}
const SHAPES = Object.keys(SHAPED) as ErrorShape[]

/** The answers for these faults, one for each status, generated from the table of faults; and one for faults of any request. */
export function faultAnswers(...codes: readonly FaultCode[]): Answers {
  return shapedFaultAnswers('plain', codes)
}

/** `faultAnswers` for a path whose errors have this shape. */
export function shapedFaultAnswers(shape: ErrorShape, codes: readonly FaultCode[]): Answers {
  const byStatus = new Map<number, FaultCode[]>()
  for (const code of new Set(codes)) {
    const { status } = FAULTS[code]
    byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  }
  const answers = [...byStatus].map(([status, same]) => [String(status), answerFor(status, same, shape)])
  return {
    ...(Object.fromEntries(answers) as Answers),
    default: { $ref: `#/components/responses/${SHAPED[shape].anyFault}` },
  }
}

/** `#/components/responses`: faults of any request, in each shape. */
export const ANY_FAULTS: Readonly<Record<string, Answer>> = Object.fromEntries(
  SHAPES.map((shape) => [
    SHAPED[shape].anyFault,
    {
      description: `Any other error: ${ANYWHERE.map((code) => `${FAULTS[code].status} (${FAULTS[code].message})`).join(', ')}; or a backend's own.`,
      content: { 'application/json': media(ANYWHERE, shape) },
    },
  ]),
)

function answerFor(status: number, codes: readonly FaultCode[], shape: ErrorShape): Answer {
  const headers = HEADERS_BY_STATUS[status]?.map((name): [string, Reference] => [
    name,
    { $ref: `#/components/headers/${name}` },
  ])
  return {
    description: codes.map((code) => `${FAULTS[code].message}.`).join(' '),
    ...(headers && { headers: Object.fromEntries(headers) }),
    content: { 'application/json': media(codes, shape) },
  }
}

function media(codes: readonly FaultCode[], shape: ErrorShape): Media {
  const examples = codes.map((code): [string, Reference] => [
    code,
    { $ref: `#/components/examples/${exampleName(code, shape)}` },
  ])
  return { schema: named(SHAPED[shape].schema), examples: Object.fromEntries(examples) }
}

function exampleName(code: FaultCode, shape: ErrorShape): string {
  return shape === 'plain' ? code : `${code}.${shape}`
}

/** `#/components/examples`: what each fault looks like, in each shape in which it is sent. */
export const FAULT_EXAMPLES: Readonly<Record<string, Example>> = Object.fromEntries(
  SHAPES.flatMap((shape) => SHAPED[shape].codes.map((code) => [exampleName(code, shape), exampleOf(code, shape)])),
)

function exampleOf(code: FaultCode, shape: ErrorShape): Example {
  const { source, nothingSent }: Fault = FAULTS[code]
  const run = nothingSent ? 'Nothing was run.' : 'Something may have been run.'
  return {
    summary: `${RAISED_BY[source]} ${run}`,
    value: JSON.parse(errorBody(new GatewayFault(code), shape)) as unknown,
  }
}

/** `#/components/headers`: those that faults come with, and those of every answer. */
export const RESPONSE_HEADERS: Readonly<Record<string, Header>> = {
  'Retry-After': {
    description: 'Seconds after which it is worth trying again.',
    schema: { type: 'integer', minimum: 0 },
  },
  'RateLimit-Limit': {
    description: "The caller's requests a minute, on every answer to which a limit applies; a batch counts its items.",
    schema: { type: 'integer', minimum: 1 },
  },
  'RateLimit-Remaining': {
    description: 'Requests that would pass at once.',
    schema: { type: 'integer', minimum: 0 },
  },
  'RateLimit-Reset': {
    description: 'Seconds until the next request passes; where one would pass at once, until all of them would.',
    schema: { type: 'integer', minimum: 0 },
  },
  'X-RateLimit-Limit-Tokens': {
    description: 'The tokens a minute of a key with `tokens_per_min`, on answers to what it asks of a model.',
    schema: { type: 'integer', minimum: 1 },
  },
  'X-RateLimit-Remaining-Tokens': {
    description: 'Tokens that are left after what was reserved for this request; 0 in debt.',
    schema: { type: 'integer', minimum: 0 },
  },
  'X-RateLimit-Reset-Tokens': {
    description: 'Until all of them are there again, if nothing else is asked for.',
    schema: { type: 'string', examples: ['17ms', '1.25s', '6m0s'] },
  },
  'WWW-Authenticate': { description: 'How to show a key.', schema: { type: 'string' } },
  'X-Infernet-Node': {
    description: 'The backend that served the request; for a batch all of them, with commas between.',
    schema: { type: 'string' },
  },
  'X-Routing-Reason': {
    description:
      'Only with `ROUTING_HEADERS=true`: why that backend was chosen (`warm`, `least loaded`, `only one`, `retried`), and the two best ' +
      'scores, seconds. Answers to batches, and those that are given again, have none.',
    schema: { type: 'string', examples: ['warm; best=0.213; second=0.480'] },
  },
  'X-Queue-Ms': {
    description:
      'How long the request waited in the gateway for a place at a backend, milliseconds; 0 where it did not wait.',
    schema: { type: 'integer', minimum: 0 },
  },
  'Preference-Applied': {
    description: 'The preference that the answer waited by, such as `wait=30`.',
    schema: { type: 'string' },
  },
  'Idempotent-Replayed': {
    description: '`true` where the first answer under this `Idempotency-Key` is given again.',
    schema: { type: 'string', enum: ['true'] },
  },
}
