import { GatewayFault } from '../faults.ts'
import { MAX_ID_BYTES, refuseTooLong, tooLong } from '../ids.ts'
import { ANSWER_LIMITS, JsonSyntaxError, memberOf, objectSteps, stringAt, type JsonMember } from '../json/index.ts'
import { atOnce, type Steps } from '../turns.ts'

/** What routing has to know of a request. */
export interface OpenAiRequest {
  readonly model: string
  /** Requests of one session share a prefix, and like to meet the same cache again. */
  readonly session: string | undefined
  /** The answer comes at once, and the work goes on without its client. */
  readonly isBackground: boolean
  /** The response that it builds on, which one service has. */
  readonly previousResponse?: string | undefined
}

/** Longest string that is decoded, bytes as written: a name of a session is cut to less than that later on. */
const LONGEST_TEXT = 64 * 1024

/**
 * Reads model and session from a body, whose other members are only passed over.
 *
 * @throws GatewayFault ERR_BAD_JSON, ERR_BAD_SHAPE
 */
export function readOpenAiRequest(body: Buffer, contentType: string | undefined): OpenAiRequest {
  return atOnce(requestSteps(body, contentType))
}

/** `readOpenAiRequest` in steps, for bodies that may be long. */
export function* requestSteps(body: Buffer, contentType: string | undefined): Steps<OpenAiRequest> {
  const request = yield* readSteps(body, contentType)
  refuseTooLong(request.model, 'ERR_BAD_SHAPE', 'model')
  return request
}

function* readSteps(body: Buffer, contentType: string | undefined): Steps<OpenAiRequest> {
  if (contentType !== undefined && /^multipart\/form-data\b/i.test(contentType)) {
    const model = yield* fieldOfForm(body, contentType, 'model')
    if (model === undefined || model === '') throw noModel('a form field "model" is needed')
    return { model, session: yield* fieldOfForm(body, contentType, 'user'), isBackground: false }
  }
  const members = yield* readMembers(body)
  refuseLongModel(members)
  const model = textOf(body, members, 'model')
  if (model === undefined || model === '') throw noModel('"model" must be a non-empty string')
  return {
    model,
    session: textOf(body, members, 'prompt_cache_key') ?? textOf(body, members, 'user'),
    isBackground: isTrue(body, memberOf(members, 'background')),
    previousResponse: textOf(body, members, 'previous_response_id'),
  }
}

/** Before it is decoded: an escaped byte takes six. */
function refuseLongModel(members: readonly JsonMember[]): void {
  const model = memberOf(members, 'model')
  if (model?.kind === 'string' && model.end - model.start > 6 * MAX_ID_BYTES + 2) {
    throw tooLong('ERR_BAD_SHAPE', 'model')
  }
}

function* readMembers(body: Buffer): Steps<JsonMember[]> {
  try {
    return yield* objectSteps(body, 0, body.length, ANSWER_LIMITS)
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error
    throw new GatewayFault('ERR_BAD_JSON', `The body is not a JSON object: ${error.message}`, {
      params: { offset: error.offset },
      cause: error,
    })
  }
}

function textOf(body: Buffer, members: readonly JsonMember[], name: string): string | undefined {
  const member = memberOf(members, name)
  if (member?.kind !== 'string') return undefined
  // A prefix of bytes, as written, tells sessions apart as well.
  if (member.end - member.start > LONGEST_TEXT)
    return body.toString('latin1', member.start, member.start + LONGEST_TEXT)
  return stringAt(body, member)
}

function isTrue(body: Buffer, member: JsonMember | undefined): boolean {
  return member?.kind === 'boolean' && body[member.start] === 0x74
}

function noModel(what: string): GatewayFault {
  return new GatewayFault('ERR_NO_MODEL', `No model specified: ${what}`)
}

/** Longest value that is taken from a form field, and longest head of a part, bytes. */
const MAX_FIELD = 1000
const MAX_PART_HEAD = 2000
/** Parts of a form that are looked at: a hostile one could have millions. */
const MAX_PARTS = 100
/** Longest boundary, characters (RFC 2046, 5.1.1); the search for a longer one may take minutes. */
const MAX_BOUNDARY = 70

/** A text field of a form (RFC 7578), found without touching the files beside it. */
function* fieldOfForm(body: Buffer, contentType: string, name: string): Steps<string | undefined> {
  const [, quoted, bare] = /boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType) ?? []
  const boundary = quoted ?? bare ?? ''
  if (boundary === '') throw new GatewayFault('ERR_BAD_SHAPE', 'The form has no boundary')
  if (boundary.length > MAX_BOUNDARY) {
    throw new GatewayFault('ERR_BAD_SHAPE', `The boundary of the form has more than ${MAX_BOUNDARY} characters`)
  }
  const delimiter = `--${boundary}`
  const next = Buffer.from(`\r\n${delimiter}`, 'latin1')
  let at = yield* indexOfSteps(body, next.subarray(2), 0)
  for (let parts = 0; at >= 0 && parts < MAX_PARTS; parts++) {
    const head = body.toString('latin1', at, at + MAX_PART_HEAD)
    const headLength = head.indexOf('\r\n\r\n')
    const start = at + headLength + 4
    if (headLength >= 0 && nameOfField(head.slice(0, headLength)) === name) {
      const end = yield* indexOfSteps(body, next, start - 2)
      return end < 0 || end - start > MAX_FIELD ? undefined : body.toString('utf8', start, Math.max(start, end))
    }
    at = yield* indexOfSteps(body, next, at + delimiter.length)
    if (at >= 0) at += 2
  }
  return undefined
}

/** Bytes that are searched in one step, some milliseconds at worst. */
const SEARCH_STEP_BYTES = 2 ** 20

/** `body.indexOf(wanted, from)` in steps. */
function* indexOfSteps(body: Buffer, wanted: Buffer, from: number): Steps<number> {
  for (let start = from; start < body.length; start += SEARCH_STEP_BYTES) {
    const at = body.subarray(start, start + SEARCH_STEP_BYTES + wanted.length - 1).indexOf(wanted)
    if (at >= 0) return start + at
    yield
  }
  return -1
}

/** The name of a part that is a field, not a file. */
function nameOfField(head: string): string | undefined {
  const disposition = /\r\ncontent-disposition:[^\r\n]*/i.exec(head)?.[0] ?? ''
  if (/;\s*filename\*?=/i.test(disposition)) return undefined
  return /;\s*name="?([^";]*)"?/i.exec(disposition)?.[1]
}
