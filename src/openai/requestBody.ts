import { GatewayFault } from '../faults.ts'
import { MAX_ID_BYTES, refuseTooLong, tooLong } from '../ids.ts'
import { ANSWER_LIMITS, JsonSyntaxError, memberOf, objectSteps, stringAt, type JsonMember } from '../json/index.ts'
import type { Steps } from '../base/index.ts'
import { delimiterOf, fieldSteps, isForm } from './form.ts'
import { firstFieldWriter, ModelBody, writeField, writeFirstMember, writeOnlyMember, writeValue } from './modelBody.ts'

/** What routing has to know of a request. */
export interface OpenAiRequest {
  readonly model: string
  /** Requests of one session share a prefix, and like to meet the same cache again. Named by the body. */
  readonly session: string | undefined
  /** The answer comes at once, and the work goes on without its client. */
  readonly isBackground: boolean
  /** The response that it builds on, which one service has. */
  readonly previousResponse?: string | undefined
  readonly body: ModelBody
  /** Of a body in JSON: where its members lie. */
  readonly members?: readonly JsonMember[]
}

/** Longest string that is decoded, bytes as written: a name of a session is cut to less than that later on. */
const LONGEST_TEXT = 64 * 1024

/**
 * Reads model and session from a body, whose other members are only passed over.
 *
 * @param pathModel the model that the path names, which counts, whatever the body says
 * @throws GatewayFault ERR_BAD_JSON, ERR_BAD_SHAPE, ERR_NO_MODEL
 */
export function* requestSteps(body: Buffer, contentType: string | undefined, pathModel?: string): Steps<OpenAiRequest> {
  const request = yield* isForm(contentType)
    ? formSteps(body, delimiterOf(contentType), pathModel)
    : jsonSteps(body, pathModel)
  refuseTooLong(request.model, 'ERR_BAD_SHAPE', 'model')
  return request
}

function* formSteps(bytes: Buffer, delimiter: string, pathModel: string | undefined): Steps<OpenAiRequest> {
  const place = yield* fieldSteps(bytes, delimiter, 'model')
  const named = place && bytes.toString('utf8', place.start, place.end)
  const model = pathModel ?? (named === '' ? undefined : named)
  if (model === undefined) throw noModel('a form field "model" is needed')
  const user = yield* fieldSteps(bytes, delimiter, 'user')
  const session = user && bytes.toString('utf8', user.start, user.end)
  const isBackground = false
  if (place) return { model, session, isBackground, body: new ModelBody(bytes, named, { ...place, write: writeField }) }
  const start = bytes.indexOf(delimiter, 0, 'latin1')
  if (start < 0) throw new GatewayFault('ERR_BAD_SHAPE', 'The form does not have its boundary')
  const write = firstFieldWriter(delimiter)
  return { model, session, isBackground, body: new ModelBody(bytes, undefined, { start, end: start, write }) }
}

function* jsonSteps(bytes: Buffer, pathModel: string | undefined): Steps<OpenAiRequest> {
  const members = yield* readMembers(bytes)
  const member = memberOf(members, 'model')
  if (pathModel === undefined || member?.kind === 'string') refuseLongModel(member)
  const named = textOf(bytes, member)
  const model = pathModel ?? (named === '' ? undefined : named)
  if (model === undefined) throw noModel('"model" must be a non-empty string')
  const session = textOf(bytes, memberOf(members, 'prompt_cache_key')) ?? textOf(bytes, memberOf(members, 'user'))
  const isBackground = isTrue(bytes, memberOf(members, 'background'))
  const previousResponse = textOf(bytes, memberOf(members, 'previous_response_id'))
  return { model, session, isBackground, previousResponse, body: modelBody(bytes, members, member, named), members }
}

function modelBody(
  bytes: Buffer,
  members: readonly JsonMember[],
  member: JsonMember | undefined,
  named: string | undefined,
): ModelBody {
  if (member) return new ModelBody(bytes, named, { start: member.start, end: member.end, write: writeValue })
  const start = bytes.indexOf('{') + 1
  const write = members.length === 0 ? writeOnlyMember : writeFirstMember
  return new ModelBody(bytes, undefined, { start, end: start, write })
}

/** Before it is decoded: an escaped byte takes six. */
function refuseLongModel(model: JsonMember | undefined): void {
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

function textOf(body: Buffer, member: JsonMember | undefined): string | undefined {
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
