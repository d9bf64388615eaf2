import { FAULTS, type Fault, type FaultCode } from '../../faults.ts'
import { named, type Answer, type Answers, type Header, type Media, type Reference } from './openApi.ts'

/** What may go wrong with any request at all, before its path matters. */
const ANYWHERE: readonly FaultCode[] = [
  'ERR_BAD_REQUEST',
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
]
/** What a backend may do to a request that was forwarded. */
export const BACKEND_FAULTS: readonly FaultCode[] = [
  'ERR_NODE_REFUSED',
  'ERR_NODE_RESET',
  'ERR_NODE_BROKE',
  'ERR_NODE_NONSENSE',
  'ERR_NODE_SILENT',
]
/** The same, where all of them were tried. */
export const PUSHBACK_FAULTS: readonly FaultCode[] = ['ERR_NODE_BUSY', 'ERR_NODE_UNAVAILABLE']

/** Response headers by the status that they come with. */
const HEADERS: Readonly<Record<number, readonly string[]>> = {
  401: ['WWW-Authenticate'],
  429: ['Retry-After'],
  503: ['Retry-After'],
}

const ACTS = {
  client: 'The client has to change something.',
  gateway: "The gateway's state.",
  upstream: "A backend's.",
}

/** The answers for these faults, one for each status, generated from the table of faults; and one for faults of any request. */
export function faultAnswers(...codes: readonly FaultCode[]): Answers {
  const byStatus = new Map<number, FaultCode[]>()
  for (const code of new Set(codes)) {
    const { status } = FAULTS[code]
    byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  }
  const answers = [...byStatus].map(([status, same]) => [String(status), answerFor(status, same)])
  return { ...(Object.fromEntries(answers) as Answers), default: { $ref: '#/components/responses/AnyFault' } }
}

/** `#/components/responses/AnyFault`. */
export const ANY_FAULT: Answer = {
  description: `Any other error: ${ANYWHERE.map((code) => `${FAULTS[code].status} (${FAULTS[code].message})`).join(', ')}.`,
  content: { 'application/json': media(ANYWHERE) },
}

function answerFor(status: number, codes: readonly FaultCode[]): Answer {
  const headers = HEADERS[status]?.map((name): [string, Reference] => [name, { $ref: `#/components/headers/${name}` }])
  return {
    description: codes.map((code) => `${FAULTS[code].message}.`).join(' '),
    ...(headers && { headers: Object.fromEntries(headers) }),
    content: { 'application/json': media(codes) },
  }
}

function media(codes: readonly FaultCode[]): Media {
  const examples = codes.map((code) => {
    const { message, source, nothingSent }: Fault = FAULTS[code]
    const sent = nothingSent ? 'Nothing reached a backend.' : 'It may have reached a backend.'
    return [code, { summary: `${ACTS[source]} ${sent}`, value: { error: message } }] as const
  })
  return { schema: named('Error'), examples: Object.fromEntries(examples) }
}

/** `#/components/headers`: those that faults come with, and those of every answer. */
export const HEADERS_OF_ANSWERS: Readonly<Record<string, Header>> = {
  'Retry-After': {
    description: 'Seconds after which it is worth trying again.',
    schema: { type: 'integer', minimum: 0 },
  },
  'WWW-Authenticate': { description: 'How to show a key.', schema: { type: 'string' } },
  'X-Infernet-Node': {
    description: 'The backend that served the request; for a batch all of them, with commas between.',
    schema: { type: 'string' },
  },
  'Idempotent-Replayed': {
    description: '`true` where the first answer under this `Idempotency-Key` is given again.',
    schema: { type: 'string', enum: ['true'] },
  },
}
