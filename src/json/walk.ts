import { QUOTE, COMMA, COLON, OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE } from './bytes.ts'
import { JsonLimitError, JsonSyntaxError } from './errors.ts'
import type { JsonLimits } from './errors.ts'
import { endOfScalar, found, passString, skipSpace } from './grammar.ts'

/** Hears of what lies directly in the outermost value, in order. */
export interface PartsListener {
  /** A member's name, with its quotes: its value follows. */
  name(start: number, end: number): void
  /** An element or a member's value begins. */
  begin(start: number): void
  /** It has ended. */
  end(end: number): void
}

/** Marks that no container is open, or that a byte opens none. */
const NONE = 0

/** What has to come next, white space apart. */
const VALUE = 0
/** A container has just been opened: its first part, or its end. */
const FIRST = 1
const NAME = 2
const COLON_NEXT = 3
/** A value has ended: a comma, or the end of its container. */
const AFTER = 4
/** Inside a string that is a value, or a name. */
const IN_STRING = 5
const IN_NAME = 6

/** Checks the value that begins at `at`, as `ValueWalk` does, without a break. Returns the index behind it. */
export function endOfValue(bytes: Buffer, at: number, end: number, limits: JsonLimits, parts: PartsListener): number {
  const walk = new ValueWalk(bytes, at, end, limits, parts)
  walk.run(end)
  return walk.at
}

/** Checks one value, piece by piece, and tells `parts`, where given, of what lies directly in it. */
export class ValueWalk {
  /** How far it has come; once the walk is over the index behind the value. */
  at: number
  readonly #bytes: Buffer
  readonly #end: number
  readonly #limits: JsonLimits
  readonly #parts: PartsListener | undefined
  readonly #closers: number[] = []
  #depth = 0
  /** The byte that closes the innermost open container. */
  #closer = NONE
  #next = VALUE
  #nameStart = 0

  /** White space before the value must have been skipped. */
  constructor(bytes: Buffer, at: number, end: number, limits: JsonLimits, parts?: PartsListener) {
    this.#bytes = bytes
    this.at = at
    this.#end = end
    this.#limits = limits
    this.#parts = parts
  }

  /** Goes on to about `stop`. Returns whether the value has ended; with `stop` at the end of the bytes it has. */
  run(stop: number): boolean {
    const end = this.#end
    const bytes = this.#bytes
    const limits = this.#limits
    const parts = this.#parts
    const closers = this.#closers
    let at = this.at
    let depth = this.#depth
    let closer = this.#closer
    let next = this.#next
    while (at < stop || stop >= end) {
      if (next < IN_STRING && depth > 0) {
        at = skipSpace(bytes, at, stop)
        if (at >= stop && stop < end) break
      }
      if (next === FIRST) {
        if (at < end && bytes[at] === closer) next = AFTER
        else next = closer === CLOSE_BRACE ? NAME : VALUE
      }
      if (next === NAME) {
        if (at >= end || bytes[at] !== QUOTE) {
          throw new JsonSyntaxError(`Expected a member's name, found ${found(bytes, at, end)}`, at)
        }
        this.#nameStart = at++
        next = IN_NAME
      }
      if (next === IN_NAME) {
        at = passString(bytes, at, end, stop)
        if (at < 0) {
          at = -at
          continue
        }
        if (depth === 1) parts?.name(this.#nameStart, at)
        next = COLON_NEXT
        if (at >= stop || bytes[at] !== COLON) continue
      }
      if (next === COLON_NEXT) {
        if (at >= end || bytes[at] !== COLON) {
          throw new JsonSyntaxError(`Expected ':' behind a member's name, found ${found(bytes, at, end)}`, at)
        }
        at++
        next = VALUE
        continue
      }
      if (next === VALUE) {
        if (depth === 1) parts?.begin(at)
        const opened = at < end ? closerOf(bytes[at]) : NONE
        if (opened !== NONE) {
          if (depth >= limits.depth) throw new JsonLimitError('depth', `More than ${limits.depth} levels`, at)
          closers[depth++] = closer
          closer = opened
          at++
          next = FIRST
          continue
        }
        if (at < end && bytes[at] === QUOTE) {
          at++
          next = IN_STRING
        } else {
          at = endOfScalar(bytes, at, end, limits)
          if (depth === 1) parts?.end(at)
          next = AFTER
        }
      } else if (next === AFTER) {
        const byte = at < end ? bytes[at] : NONE
        if (byte === COMMA) {
          at++
          next = closer === CLOSE_BRACE ? NAME : VALUE
          continue
        }
        if (byte !== closer) throw unclosed(bytes, at, end, closer)
        at++
        closer = closers[--depth]!
        if (depth === 1) parts?.end(at)
      }
      if (next === IN_STRING) {
        at = passString(bytes, at, end, stop)
        if (at < 0) {
          at = -at
          continue
        }
        if (depth === 1) parts?.end(at)
        next = AFTER
      }
      // A value has ended, perhaps the whole. Most are followed by a comma at once.
      if (depth === 0) {
        this.at = at
        return true
      }
      if (at < stop && bytes[at] === COMMA) {
        at++
        next = closer === CLOSE_BRACE ? NAME : VALUE
      }
    }
    this.at = at
    this.#depth = depth
    this.#closer = closer
    this.#next = next
    return false
  }
}

function closerOf(byte: number | undefined): number {
  if (byte === OPEN_BRACE) return CLOSE_BRACE
  return byte === OPEN_BRACKET ? CLOSE_BRACKET : NONE
}

function unclosed(bytes: Buffer, at: number, end: number, closer: number): JsonSyntaxError {
  const expected = closer === CLOSE_BRACE ? "',' or '}' in an object" : "',' or ']' in an array"
  return new JsonSyntaxError(`Expected ${expected}, found ${found(bytes, at, end)}`, at)
}
