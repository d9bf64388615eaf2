import { GatewayFault } from '../faults.ts'
import { ANSWER_LIMITS, JsonSyntaxError, memberOf, scanObject, stringAt, type JsonMember } from '../json/index.ts'

/** What routing has to know of a request. */
export interface OpenAiRequest {
  readonly model: string
  /** Requests of one session share a prefix, and like to meet the same cache again. */
  readonly session: string | undefined
}

/**
 * Reads model and session from a body, whose other members are only passed over.
 *
 * @throws GatewayFault ERR_BAD_JSON, ERR_BAD_SHAPE
 */
export function readOpenAiRequest(body: Buffer, contentType: string | undefined): OpenAiRequest {
  if (contentType !== undefined && /^multipart\/form-data\b/i.test(contentType)) {
    const model = fieldOfForm(body, contentType, 'model')
    if (model === undefined) throw noModel('a form field "model" is needed')
    return { model, session: fieldOfForm(body, contentType, 'user') }
  }
  const members = readMembers(body)
  const model = textOf(body, members, 'model')
  if (model === undefined || model === '') throw noModel('"model" must be a text that is not empty')
  return { model, session: textOf(body, members, 'prompt_cache_key') ?? textOf(body, members, 'user') }
}

function readMembers(body: Buffer): JsonMember[] {
  try {
    return scanObject(body, 0, body.length, ANSWER_LIMITS)
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
  return member?.kind === 'string' ? stringAt(body, member) : undefined
}

function noModel(what: string): GatewayFault {
  return new GatewayFault('ERR_BAD_SHAPE', `No model specified: ${what}`)
}

/** Longest value that is taken from a form field. */
const MAX_FIELD = 1000

/** A text field of a form (RFC 7578), found without touching the files beside it. */
function fieldOfForm(body: Buffer, contentType: string, name: string): string | undefined {
  const boundary = /boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType)
  const delimiter = Buffer.from(`--${boundary?.[1] ?? boundary?.[2] ?? ''}`)
  if (delimiter.length === 2) throw new GatewayFault('ERR_BAD_SHAPE', 'The form has no boundary')
  for (let at = body.indexOf(delimiter); at >= 0; at = body.indexOf(delimiter, at + 1)) {
    const headEnd = body.indexOf('\r\n\r\n', at)
    if (headEnd < 0) return undefined
    const head = body.toString('latin1', at, Math.min(headEnd, at + 2000))
    const disposition = /\r\ncontent-disposition:[^\r\n]*/i.exec(head)?.[0] ?? ''
    if (/;\s*filename\*?=/i.test(disposition)) continue
    if (/;\s*name="?([^";]*)"?/i.exec(disposition)?.[1] !== name) continue
    const end = body.indexOf(`\r\n${delimiter.toString('latin1')}`, headEnd + 2, 'latin1')
    if (end < 0 || end - headEnd > MAX_FIELD) return undefined
    return body.toString('utf8', headEnd + 4, end)
  }
  return undefined
}
