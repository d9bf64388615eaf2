import { GatewayFault } from '../faults.ts'
import type { ByteRange } from '../json/index.ts'
import type { Steps } from '../base/index.ts'

/** Longest value that is taken from a form field, and longest head of a part, bytes. */
const MAX_FIELD = 1000
const MAX_PART_HEAD = 2000
/** Parts of a form that are looked at: a hostile one could have millions. */
const MAX_PARTS = 1000
/** Longest boundary, characters (RFC 2046, 5.1.1); the search for a longer one may take minutes. */
const MAX_BOUNDARY = 70

/** Whether a body of this type is a form with parts (RFC 7578). */
export function isForm(contentType: string | undefined): contentType is string {
  return contentType !== undefined && /^multipart\/form-data\b/i.test(contentType)
}

/**
 * What stands before each part of a form.
 *
 * @throws GatewayFault ERR_BAD_SHAPE
 */
export function delimiterOf(contentType: string): string {
  const [, quoted, bare] = /boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType) ?? []
  const boundary = quoted ?? bare ?? ''
  if (boundary === '') throw new GatewayFault('ERR_BAD_SHAPE', 'The form has no boundary')
  if (boundary.length > MAX_BOUNDARY) {
    throw new GatewayFault('ERR_BAD_SHAPE', `The boundary of the form has more than ${MAX_BOUNDARY} characters`)
  }
  return `--${boundary}`
}

/** Where the value of a form's text field is, found without touching the files beside it. */
export function* fieldSteps(body: Buffer, delimiter: string, name: string): Steps<ByteRange | undefined> {
  const next = Buffer.from(`\r\n${delimiter}`, 'latin1')
  let at = yield* indexOfSteps(body, next.subarray(2), 0)
  for (let parts = 0; at >= 0 && parts < MAX_PARTS; parts++) {
    const head = body.toString('latin1', at, at + MAX_PART_HEAD)
    const headLength = head.indexOf('\r\n\r\n')
    const start = at + headLength + 4
    if (headLength >= 0 && nameOfField(head.slice(0, headLength)) === name) {
      const end = yield* indexOfSteps(body, next, start - 2)
      return end < 0 || end - start > MAX_FIELD ? undefined : { start, end: Math.max(start, end) }
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
