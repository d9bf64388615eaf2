import { isUtf8 } from 'node:buffer'
import { JsonLimitError, JsonSyntaxError, NODE_LIMITS } from './errors.ts'
import type { JsonLimits } from './errors.ts'
import { endOfValue, found, skipSpace } from './grammar.ts'
import type { PartsListener } from './grammar.ts'
import { stringAt } from './text.ts'
import type { ByteRange } from './text.ts'

/** What a value is. Python's NaN and infinities are numbers. */
export type JsonKind = 'object' | 'array' | 'string' | 'number' | 'boolean' | 'null'

/** A value within a buffer, without the white space around it: the bytes from `start` up to, not including, `end`. */
export interface JsonSpan {
  readonly start: number
  readonly end: number
  readonly kind: JsonKind
}

/** A member of an object: the span is its value's; `name` is unescaped (`"\u0069d"` is `id`). */
export interface JsonMember extends JsonSpan {
  readonly name: string
}

/** A whole value, and where its parts lie: members in order with all duplicates, or elements in order. */
export type JsonValue =
  | (JsonSpan & { readonly kind: 'object'; readonly members: JsonMember[] })
  | (JsonSpan & { readonly kind: 'array'; readonly elements: JsonSpan[] })
  | (JsonSpan & { readonly kind: 'string' | 'number' | 'boolean' | 'null' })

/**
 * Reads one JSON value, white space around it allowed, in one pass that nests nothing on the call stack: the whole of
 * it is checked (RFC 8259, UTF-8, no byte order mark), only the outermost value's parts are told.
 * Python's `NaN`, `Infinity` and `-Infinity` are values. Throws JsonSyntaxError, or JsonLimitError beyond `limits`.
 */
export function scanValue(bytes: Buffer, start = 0, end = bytes.length, limits: JsonLimits = NODE_LIMITS): JsonValue {
  const parts = new Parts(bytes, limits)
  const { start: first, end: last } = checkedRange(bytes, start, end, limits, parts)
  const kind = kindFrom(bytes[first])
  if (kind === 'object') return { kind, start: first, end: last, members: parts.members }
  if (kind === 'array') return { kind, start: first, end: last, elements: parts.elements }
  return { kind, start: first, end: last }
}

/** The members of the object that the bytes hold, as by `scanValue`; another kind of value is a JsonSyntaxError too. */
export function scanObject(bytes: Buffer, start?: number, end?: number, limits?: JsonLimits): JsonMember[] {
  const value = scanValue(bytes, start, end, limits)
  if (value.kind !== 'object') throw new JsonSyntaxError(`Expected an object, found ${named(value.kind)}`, value.start)
  return value.members
}

/** The elements of the array that the bytes hold, as by `scanValue`; another kind of value is a JsonSyntaxError too. */
export function scanArray(bytes: Buffer, start?: number, end?: number, limits?: JsonLimits): JsonSpan[] {
  const value = scanValue(bytes, start, end, limits)
  if (value.kind !== 'array') throw new JsonSyntaxError(`Expected an array, found ${named(value.kind)}`, value.start)
  return value.elements
}

/** What the bytes hold, all of them checked as by `scanValue`, however many parts there are. */
export function kindOf(bytes: Buffer, start = 0, end = bytes.length, limits: JsonLimits = NODE_LIMITS): JsonKind {
  return kindFrom(bytes[checkedRange(bytes, start, end, limits).start])
}

/** A kind with its article, for messages: `an object`, `null`. */
export function named(kind: JsonKind): string {
  if (kind === 'null') return kind
  return kind === 'object' || kind === 'array' ? `an ${kind}` : `a ${kind}`
}

function checkedRange(bytes: Buffer, start: number, end: number, limits: JsonLimits, parts?: PartsListener): ByteRange {
  checkEncoding(bytes, start, end)
  const first = skipSpace(bytes, start, end)
  const last = endOfValue(bytes, first, end, limits, parts)
  const rest = skipSpace(bytes, last, end)
  if (rest < end) throw new JsonSyntaxError(`Expected nothing behind the value, found ${found(bytes, rest, end)}`, rest)
  return { start: first, end: last }
}

/** Collects what lies directly in the outermost value. */
class Parts implements PartsListener {
  readonly members: JsonMember[] = []
  readonly elements: JsonSpan[] = []
  readonly #bytes: Buffer
  readonly #limits: JsonLimits
  #name: string | undefined
  #start = 0

  constructor(bytes: Buffer, limits: JsonLimits) {
    this.#bytes = bytes
    this.#limits = limits
  }

  name(start: number, end: number): void {
    this.#name = stringAt(this.#bytes, { start, end })
  }

  begin(start: number): void {
    const most = this.#limits.children
    if (this.members.length + this.elements.length >= most) {
      throw new JsonLimitError('children', `More than ${most} members or elements`, start)
    }
    this.#start = start
  }

  end(end: number): void {
    const start = this.#start
    const kind = kindFrom(this.#bytes[start])
    if (this.#name === undefined) this.elements.push({ start, end, kind })
    else this.members.push({ name: this.#name, start, end, kind })
  }
}

const KINDS: Readonly<Record<string, JsonKind>> = {
  '{': 'object',
  '[': 'array',
  '"': 'string',
  t: 'boolean',
  f: 'boolean',
  n: 'null',
}

/** The kind of a value by its first byte, which has been checked. */
function kindFrom(byte: number | undefined): JsonKind {
  return KINDS[String.fromCharCode(byte!)] ?? 'number'
}

function checkEncoding(bytes: Buffer, start: number, end: number): void {
  if (end - start >= 3 && bytes[start] === 0xef && bytes[start + 1] === 0xbb && bytes[start + 2] === 0xbf) {
    throw new JsonSyntaxError('A byte order mark is not allowed', start)
  }
  const whole = bytes.subarray(start, end)
  if (!isUtf8(whole)) throw new JsonSyntaxError('Invalid UTF-8', start + firstInvalid(whole))
}

/** Where the first character that is not UTF-8 begins: the length of the longest prefix that is. */
function firstInvalid(bytes: Buffer): number {
  // A prefix that is cut within a sound character is sound three bytes earlier at the latest.
  const soundLength = (n: number): number =>
    [n, n - 1, n - 2, n - 3].find((m) => m >= 0 && isUtf8(bytes.subarray(0, m))) ?? -1
  let sound = 0
  let unsound = bytes.length + 1
  while (unsound - sound > 1) {
    const middle = (sound + unsound) >> 1
    if (soundLength(middle) >= 0) sound = middle
    else unsound = middle
  }
  return soundLength(sound)
}
