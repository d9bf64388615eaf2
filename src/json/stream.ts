import { isUtf8 } from 'node:buffer'
import {
  QUOTE,
  PLUS,
  COMMA,
  MINUS,
  POINT,
  ZERO,
  NINE,
  COLON,
  OPEN_BRACKET,
  BACKSLASH,
  CLOSE_BRACKET,
  OPEN_BRACE,
  CLOSE_BRACE,
} from './bytes.ts'
import { ANSWER_LIMITS, JsonLimitError, JsonSyntaxError } from './errors.ts'
import type { JsonLimits } from './errors.ts'
import { endOfPlain, found, isEscapable, isHexDigit, skipSpace, wordFrom } from './grammar.ts'

/** Hears of values and names as they pass; indices are those of the present piece. */
export interface StreamListener {
  /** A value begins, with so many containers around it. */
  begin(level: number, at: number): void
  /** It has ended before the byte at `at`. */
  end(level: number, at: number): void
  /** A member's name, quotes included, whose value will be at that level. */
  beginName(level: number, at: number): void
  endName(level: number, at: number): void
}

/** What has to come next. From VALUE to AFTER white space may come before it. */
const VALUE = 0
const FIRST_ELEMENT = 1
const FIRST_NAME = 2
const NAME = 3
const COLON_NEXT = 4
const AFTER = 5
const IN_STRING = 6
const IN_ESCAPE = 7
const IN_UNICODE = 8
const IN_WORD = 9
/** In a number, by what came last. */
const MINUS_SEEN = 10
const ZERO_SEEN = 11
const IN_INTEGER = 12
const POINT_SEEN = 13
const IN_FRACTION = 14
const EXPONENT_SEEN = 15
const SIGN_SEEN = 16
const IN_EXPONENT = 17

/**
 * Checks one JSON value whose bytes come in pieces of any size, none of which is kept: the same rules as those of
 * `scanSteps`. Throws JsonSyntaxError, or JsonLimitError for one that nests too deep; offsets count from the first piece.
 */
export class JsonStream {
  readonly #listener: StreamListener
  /** Nothing deeper than this is told. */
  readonly #levels: number
  readonly #limits: JsonLimits
  readonly #closers: number[] = []
  #next = VALUE
  #isName = false
  #word = ''
  /** How far the word, or how many digits of a \u escape, have come. */
  #matched = 0
  /** Bytes of the pieces before. */
  #offset = 0
  /** The bytes so far of a character that continues in the next piece. */
  #character = Buffer.alloc(0)

  constructor(listener: StreamListener, levels: number, limits: JsonLimits = ANSWER_LIMITS) {
    this.#listener = listener
    this.#levels = levels
    this.#limits = limits
  }

  /** Takes the next piece. */
  push(piece: Buffer): void {
    this.#checkEncoding(piece)
    try {
      for (let at = 0; at < piece.length;) at = this.#step(piece, at)
    } catch (error) {
      throw this.#placed(error)
    }
    this.#offset += piece.length
  }

  /** The last piece was taken: throws unless the value is complete. */
  end(): void {
    if (this.#closers.length === 0 && isCompleteNumber(this.#next)) this.#ended(0)
    if (this.#closers.length > 0 || this.#next !== AFTER || this.#character.length > 0) {
      throw new JsonSyntaxError('The value is not complete', this.#offset)
    }
  }

  /** Takes one token, or as much of it as the piece holds. Returns the index behind. */
  #step(piece: Buffer, at: number): number {
    const next = this.#next
    if (next <= AFTER) {
      const start = skipSpace(piece, at, piece.length)
      return start === piece.length ? start : this.#token(piece, start)
    }
    if (next === IN_STRING) return this.#string(piece, at)
    if (next === IN_ESCAPE) return this.#escape(piece, at)
    if (next === IN_UNICODE) return this.#unicode(piece, at)
    if (next === IN_WORD) return this.#inWord(piece, at)
    return this.#number(piece, at)
  }

  #token(piece: Buffer, at: number): number {
    const byte = piece[at]!
    switch (this.#next) {
      case FIRST_ELEMENT:
        return byte === CLOSE_BRACKET ? this.#close(at) : this.#value(piece, at)
      case FIRST_NAME:
        return byte === CLOSE_BRACE ? this.#close(at) : this.#name(piece, at)
      case NAME:
        return this.#name(piece, at)
      case COLON_NEXT:
        if (byte !== COLON) throw expected("':' behind a member's name", piece, at)
        this.#next = VALUE
        return at + 1
      case AFTER:
        return this.#after(piece, at)
      default:
        return this.#value(piece, at)
    }
  }

  #value(piece: Buffer, at: number): number {
    const level = this.#closers.length
    if (level <= this.#levels) this.#listener.begin(level, at)
    const byte = piece[at]!
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (level >= this.#limits.depth) throw new JsonLimitError('depth', `More than ${this.#limits.depth} levels`, at)
      this.#closers.push(byte === OPEN_BRACE ? CLOSE_BRACE : CLOSE_BRACKET)
      this.#next = byte === OPEN_BRACE ? FIRST_NAME : FIRST_ELEMENT
      return at + 1
    }
    if (byte === QUOTE) {
      this.#next = IN_STRING
      this.#isName = false
    } else if (byte === MINUS) this.#next = MINUS_SEEN
    else if (isDigit(byte)) this.#next = byte === ZERO ? ZERO_SEEN : IN_INTEGER
    else this.#beginWord(wordFrom(piece, at, piece.length))
    return at + 1
  }

  #name(piece: Buffer, at: number): number {
    if (piece[at] !== QUOTE) throw expected("a member's name", piece, at)
    const level = this.#closers.length
    if (level <= this.#levels) this.#listener.beginName(level, at)
    this.#next = IN_STRING
    this.#isName = true
    return at + 1
  }

  #after(piece: Buffer, at: number): number {
    const closer = this.#closers.at(-1)
    if (closer === undefined) throw expected('nothing after the value', piece, at)
    const byte = piece[at]
    if (byte === closer) return this.#close(at)
    const inObject = closer === CLOSE_BRACE
    if (byte !== COMMA) throw expected(inObject ? "',' or '}' in an object" : "',' or ']' in an array", piece, at)
    this.#next = inObject ? NAME : VALUE
    return at + 1
  }

  #close(at: number): number {
    this.#closers.pop()
    this.#ended(at + 1)
    return at + 1
  }

  /** A value has ended before the byte at `at`. */
  #ended(at: number): void {
    this.#next = AFTER
    const level = this.#closers.length
    if (level <= this.#levels) this.#listener.end(level, at)
  }

  #string(piece: Buffer, at: number): number {
    at = endOfPlain(piece, at, piece.length)
    if (at === piece.length) return at
    const byte = piece[at]
    if (byte === BACKSLASH) this.#next = IN_ESCAPE
    else if (byte !== QUOTE)
      throw new JsonSyntaxError(`${found(piece, at, piece.length)} must be escaped in a string`, at)
    else if (this.#isName) {
      this.#next = COLON_NEXT
      const level = this.#closers.length
      if (level <= this.#levels) this.#listener.endName(level, at + 1)
    } else this.#ended(at + 1)
    return at + 1
  }

  #escape(piece: Buffer, at: number): number {
    const byte = piece[at]!
    if (byte === 0x75) {
      this.#next = IN_UNICODE
      this.#matched = 0
    } else {
      if (!isEscapable(byte)) throw expected('an escape behind a backslash', piece, at)
      this.#next = IN_STRING
    }
    return at + 1
  }

  #unicode(piece: Buffer, at: number): number {
    if (!isHexDigit(piece[at]!)) throw expected('four hexadecimal digits behind \\u', piece, at)
    if (++this.#matched === 4) this.#next = IN_STRING
    return at + 1
  }

  #beginWord(word: string): void {
    this.#next = IN_WORD
    this.#word = word
    this.#matched = 1
  }

  #inWord(piece: Buffer, at: number): number {
    if (piece[at] !== this.#word.charCodeAt(this.#matched)) throw expected(this.#word, piece, at)
    if (++this.#matched === this.#word.length) this.#ended(at + 1)
    return at + 1
  }

  /** Python's -Infinity is a number too. */
  #number(piece: Buffer, at: number): number {
    const byte = piece[at]!
    const next = this.#next
    if (next === MINUS_SEEN && byte === 0x49) {
      this.#beginWord('Infinity')
      return at + 1
    }
    const after = afterInNumber(next, byte)
    if (after !== undefined) {
      this.#next = after
      at++
      if (after !== ZERO_SEEN && isCompleteNumber(after)) while (at < piece.length && isDigit(piece[at]!)) at++
      return at
    }
    if (!isCompleteNumber(next)) throw expected('a digit', piece, at)
    this.#ended(at)
    return at
  }

  #checkEncoding(piece: Buffer): void {
    const bytes = this.#character.length === 0 ? piece : Buffer.concat([this.#character, piece])
    const whole = bytes.length - openCharacterBytes(bytes)
    if (!isUtf8(bytes.subarray(0, whole))) throw new JsonSyntaxError('Invalid UTF-8', this.#offset)
    this.#character = Buffer.from(bytes.subarray(whole))
  }

  /** The same error with its place counted from the first piece. */
  #placed(error: unknown): unknown {
    if (!(error instanceof JsonSyntaxError) || this.#offset === 0) return error
    const problem = error.message.replace(/ at byte \d+$/, '')
    const offset = this.#offset + error.offset
    if (error instanceof JsonLimitError) return new JsonLimitError(error.limit, problem, offset)
    return new JsonSyntaxError(problem, offset)
  }
}

function expected(what: string, piece: Buffer, at: number): JsonSyntaxError {
  return new JsonSyntaxError(`Expected ${what}, found ${found(piece, at, piece.length)}`, at)
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE
}

/** Whether what was read of a number is one. */
function isCompleteNumber(next: number): boolean {
  return next === ZERO_SEEN || next === IN_INTEGER || next === IN_FRACTION || next === IN_EXPONENT
}

/** Where a number stands after one more byte; `undefined` where the byte cannot belong to it. */
function afterInNumber(next: number, byte: number): number | undefined {
  if (isDigit(byte)) {
    if (next === MINUS_SEEN) return byte === ZERO ? ZERO_SEEN : IN_INTEGER
    if (next === POINT_SEEN) return IN_FRACTION
    if (next === EXPONENT_SEEN || next === SIGN_SEEN) return IN_EXPONENT
    return next === ZERO_SEEN ? undefined : next
  }
  const isInteger = next === ZERO_SEEN || next === IN_INTEGER
  if (byte === POINT) return isInteger ? POINT_SEEN : undefined
  if ((byte | 0x20) === 0x65) return isInteger || next === IN_FRACTION ? EXPONENT_SEEN : undefined
  return (byte === PLUS || byte === MINUS) && next === EXPONENT_SEEN ? SIGN_SEEN : undefined
}

/** How many bytes at the end begin a character that goes on behind them. */
function openCharacterBytes(bytes: Buffer): number {
  for (let count = 1; count <= Math.min(3, bytes.length); count++) {
    const byte = bytes[bytes.length - count]!
    if (byte < 0x80) return 0
    if (byte < 0xc0) continue
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2
    return length > count ? count : 0
  }
  return 0
}
