import { isUtf8 } from 'node:buffer'
import { ANSWER_LIMITS, JsonLimitError, JsonSyntaxError, NODE_LIMITS } from './errors.ts'
import type { JsonLimits } from './errors.ts'
import { found, skipSpace } from './grammar.ts'
import type { Steps } from '../base/turns.ts'
import { stringAt } from './text.ts'
import type { ByteRange } from './text.ts'
import { endOfValue, ValueWalk } from './walk.ts'
import type { PartsListener } from './walk.ts'

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

/** `scanSteps` at once. */
function scanValue(bytes: Buffer, start = 0, end = bytes.length, limits: JsonLimits = NODE_LIMITS): JsonValue {
  const parts = new Parts(bytes, limits)
  return valueOf(bytes, checkedRange(bytes, start, end, limits, parts), parts)
}

/** Bytes that are scanned in one step: at most some 3 ms of work. */
const STEP_BYTES = 256 * 1024

/**
 * Reads one JSON value, white space around it allowed, in one pass that nests nothing on the call stack: the whole of
 * it is checked (RFC 8259, UTF-8, no byte order mark), only the outermost value's parts are told. Long ones take several steps.
 * Python's `NaN`, `Infinity` and `-Infinity` are values. Throws JsonSyntaxError, or JsonLimitError beyond `limits`.
 */
export function* scanSteps(
  bytes: Buffer,
  start = 0,
  end = bytes.length,
  limits: JsonLimits = NODE_LIMITS,
): Steps<JsonValue> {
  if (end - start <= STEP_BYTES) return scanValue(bytes, start, end, limits)
  // Before anything: the present turn may be used up.
  yield
  refuseByteOrderMark(bytes, start, end)
  for (let at = start; at < end;) {
    const stop = characterStart(bytes, Math.min(end, at + STEP_BYTES), at, end)
    checkUtf8(bytes, at, stop)
    at = stop
    yield
  }
  const first = yield* spaceSteps(bytes, start, end)
  const parts = new Parts(bytes, limits)
  const walk = new ValueWalk(bytes, first, end, limits, parts)
  while (!walk.run(Math.min(end, walk.at + STEP_BYTES))) yield
  const rest = yield* spaceSteps(bytes, walk.at, end)
  if (rest < end) throw trailing(bytes, rest, end)
  return valueOf(bytes, { start: first, end: walk.at }, parts)
}

/** `skipSpace` in steps. */
function* spaceSteps(bytes: Buffer, at: number, end: number): Steps<number> {
  while (at < end) {
    const stop = Math.min(end, at + STEP_BYTES)
    at = skipSpace(bytes, at, stop)
    if (at < stop) return at
    yield
  }
  return at
}

/** The first elements of an array, and how many it has in all. */
export interface FirstElements {
  readonly elements: JsonSpan[]
  readonly count: number
}

/** The first `most` elements of an array that has been scanned, in steps: of millions the others take no memory. */
export function* firstElementsSteps(bytes: Buffer, array: JsonSpan, most: number): Steps<FirstElements> {
  const elements: JsonSpan[] = []
  let count = 0
  let start = 0
  const walk = new ValueWalk(bytes, array.start, array.end, ANSWER_LIMITS, {
    name: () => undefined,
    begin: (at) => (start = at),
    end: (end) => {
      if (count++ < most) elements.push({ start, end, kind: kindFrom(bytes[start]) })
    },
  })
  while (!walk.run(Math.min(array.end, walk.at + STEP_BYTES))) yield
  return { elements, count }
}

/** The members of the object that the bytes hold, as by `scanSteps`; another kind of value is a JsonSyntaxError too. */
export function* objectSteps(bytes: Buffer, start?: number, end?: number, limits?: JsonLimits): Steps<JsonMember[]> {
  return membersOf(yield* scanSteps(bytes, start, end, limits))
}

/** The elements of the array that the bytes hold, as by `scanSteps`; another kind of value is a JsonSyntaxError too. */
export function* arraySteps(bytes: Buffer, start?: number, end?: number, limits?: JsonLimits): Steps<JsonSpan[]> {
  return elementsOf(yield* scanSteps(bytes, start, end, limits))
}

function valueOf(bytes: Buffer, { start, end }: ByteRange, { members, elements }: Parts): JsonValue {
  const kind = kindFrom(bytes[start])
  if (kind === 'object') return { kind, start, end, members }
  if (kind === 'array') return { kind, start, end, elements }
  return { kind, start, end }
}

/** `objectSteps` at once, for bytes that are few. */
export function scanObject(bytes: Buffer, start?: number, end?: number, limits?: JsonLimits): JsonMember[] {
  return membersOf(scanValue(bytes, start, end, limits))
}

function membersOf(value: JsonValue): JsonMember[] {
  if (value.kind === 'object') return value.members
  throw new JsonSyntaxError(`Expected an object, found ${named(value.kind)}`, value.start)
}

function elementsOf(value: JsonValue): JsonSpan[] {
  if (value.kind === 'array') return value.elements
  throw new JsonSyntaxError(`Expected an array, found ${named(value.kind)}`, value.start)
}

/** A kind with its article, for messages: `an object`, `null`. */
export function named(kind: JsonKind): string {
  if (kind === 'null') return kind
  return kind === 'object' || kind === 'array' ? `an ${kind}` : `a ${kind}`
}

function checkedRange(bytes: Buffer, start: number, end: number, limits: JsonLimits, parts: PartsListener): ByteRange {
  checkEncoding(bytes, start, end)
  const first = skipSpace(bytes, start, end)
  const last = endOfValue(bytes, first, end, limits, parts)
  const rest = skipSpace(bytes, last, end)
  if (rest < end) throw trailing(bytes, rest, end)
  return { start: first, end: last }
}

function trailing(bytes: Buffer, at: number, end: number): JsonSyntaxError {
  return new JsonSyntaxError(`Expected nothing after the value, found ${found(bytes, at, end)}`, at)
}

/** Longer names, in bytes as written, are nobody's that we know: they are told by their beginning and place. */
const LONGEST_NAME = 4096

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
    if (end - start <= LONGEST_NAME) this.#name = stringAt(this.#bytes, { start, end })
    else this.#name = `${this.#bytes.toString('latin1', start + 1, start + 100)}… at byte ${start}`
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
  refuseByteOrderMark(bytes, start, end)
  checkUtf8(bytes, start, end)
}

function refuseByteOrderMark(bytes: Buffer, start: number, end: number): void {
  if (end - start >= 3 && bytes[start] === 0xef && bytes[start + 1] === 0xbb && bytes[start + 2] === 0xbf) {
    throw new JsonSyntaxError('A byte order mark is not allowed', start)
  }
}

function checkUtf8(bytes: Buffer, start: number, end: number): void {
  const whole = bytes.subarray(start, end)
  if (!isUtf8(whole)) throw new JsonSyntaxError('Invalid UTF-8', start + firstInvalid(whole))
}

/** The last index up to `at` at which a character of UTF-8 begins; `at` itself at the end, and where there is none near. */
function characterStart(bytes: Buffer, at: number, from: number, end: number): number {
  if (at >= end) return at
  for (let start = at; start > from && start > at - 4; start--) if ((bytes[start]! & 0xc0) !== 0x80) return start
  return at
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
