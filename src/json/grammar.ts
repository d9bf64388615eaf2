import { SPACE, QUOTE, PLUS, MINUS, POINT, ZERO, NINE, BACKSLASH } from './bytes.ts'
import { JsonLimitError, JsonSyntaxError } from './errors.ts'
import type { JsonLimits } from './errors.ts'

/*
 * The tokens of RFC 8259, and Python's NaN, Infinity and -Infinity. Every function takes the index of a token's
 * first byte and returns the index behind its last one; `end` bounds what may be read.
 */

/** 1 for a byte that may stand in a string as it is. */
const PLAIN = new Uint8Array(256).fill(1, SPACE)
PLAIN[QUOTE] = 0
PLAIN[BACKSLASH] = 0

/** The index of the first byte at or behind `at` that is no white space. */
export function skipSpace(bytes: Buffer, at: number, end: number): number {
  while (at < end) {
    const byte = bytes[at]!
    if (byte > SPACE || (byte !== SPACE && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)) break
    at++
  }
  return at
}

/**
 * `at` is the index of a byte inside a string. Returns the index behind the closing quote; where that is not found before
 * `stop`, the index from which to go on, negated.
 */
export function passString(bytes: Buffer, at: number, end: number, stop: number): number {
  for (;;) {
    at = endOfPlain(bytes, at, stop)
    if (at >= end) throw new JsonSyntaxError('A string is not closed', at)
    if (at >= stop) return -at
    const byte = bytes[at]
    if (byte === QUOTE) return at + 1
    if (byte !== BACKSLASH) throw new JsonSyntaxError(`${found(bytes, at, end)} must be escaped in a string`, at)
    at = endOfEscape(bytes, at, end)
  }
}

/** After how many bytes looked at one by one a run counts as long. */
const SHORT_RUN = 64

/** The index of the first byte at or behind `at` that cannot stand in a string as it is. */
export function endOfPlain(bytes: Buffer, at: number, end: number): number {
  const firstWord = at + SHORT_RUN + (-(bytes.byteOffset + at) & 3)
  const near = Math.min(end, firstWord)
  while (at < near && PLAIN[bytes[at]!] === 1) at++
  if (at < firstWord) return at
  at = skipPlainWords(bytes, at, end)
  while (at < end && PLAIN[bytes[at]!] === 1) at++
  return at
}

/**
 * Skips plain bytes four at a time, up to the word with the first that is not plain. `at` has to be aligned in memory.
 * For a word w, `(w - n·0x01010101) & ~w & 0x80808080` is not 0 exactly where one of its bytes is below n (n ≤ 128);
 * that a byte equals c is the same question, n = 1, of `w ^ c·0x01010101`.
 */
function skipPlainWords(bytes: Buffer, at: number, end: number): number {
  const count = (end - at) >> 2
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset + at, count)
  let i = 0
  for (; i < count; i++) {
    const word = words[i]! | 0
    const quote = word ^ 0x22222222
    const backslash = word ^ 0x5c5c5c5c
    const hit =
      ((word - 0x20202020) & ~word) | ((quote - 0x01010101) & ~quote) | ((backslash - 0x01010101) & ~backslash)
    if ((hit & 0x80808080) !== 0) break
  }
  return at + i * 4
}

function endOfEscape(bytes: Buffer, at: number, end: number): number {
  const byte = bytes[at + 1]
  if (byte === 0x75 && at + 1 < end) return endOfUnicodeEscape(bytes, at + 2, end)
  if (at + 1 >= end || !isEscapable(byte)) {
    throw new JsonSyntaxError(`A backslash is followed by ${found(bytes, at + 1, end)}`, at + 1)
  }
  return at + 2
}

export function isEscapable(byte: number | undefined): boolean {
  switch (byte) {
    case QUOTE:
    case BACKSLASH:
    case 0x2f: // slash
    case 0x62: // b
    case 0x66: // f
    case 0x6e: // n
    case 0x72: // r
    case 0x74: // t
      return true
    default:
      return false
  }
}

function endOfUnicodeEscape(bytes: Buffer, at: number, end: number): number {
  for (const stop = at + 4; at < stop; at++) {
    if (at >= end || !isHexDigit(bytes[at]!)) {
      throw new JsonSyntaxError(`\\u needs four hexadecimal digits, not ${found(bytes, at, end)}`, at)
    }
  }
  return at
}

export function isHexDigit(byte: number): boolean {
  return (byte >= ZERO && byte <= NINE) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66)
}

/** `at` is the index of the first byte of what should be a value that is neither object, array nor string. */
export function endOfScalar(bytes: Buffer, at: number, end: number, limits: JsonLimits): number {
  const byte = at < end ? bytes[at]! : 0
  if (byte <= NINE) return endOfNumber(bytes, at, end, limits)
  const word = wordFrom(bytes, at, end)
  if (limits.isPlain === true && word.charCodeAt(0) < 0x61) throw noValue(bytes, at, end)
  return endOfWord(bytes, at, end, word)
}

/** The only word that can begin with the byte at an index. */
export function wordFrom(bytes: Buffer, at: number, end: number): string {
  switch (bytes[at]) {
    case 0x74:
      return 'true'
    case 0x66:
      return 'false'
    case 0x6e:
      return 'null'
    case 0x4e:
      return 'NaN'
    case 0x49:
      return 'Infinity'
    default:
      throw noValue(bytes, at, end)
  }
}

function noValue(bytes: Buffer, at: number, end: number): JsonSyntaxError {
  return new JsonSyntaxError(`Expected a value, found ${found(bytes, at, end)}`, at)
}

function endOfWord(bytes: Buffer, at: number, end: number, word: string): number {
  for (let i = 0; i < word.length; i++) {
    if (at + i >= end || bytes[at + i] !== word.charCodeAt(i)) {
      throw new JsonSyntaxError(`Expected ${word}, found ${found(bytes, at + i, end)}`, at + i)
    }
  }
  return at + word.length
}

/** Python's -Infinity is a number too; Infinity and NaN are words. */
function endOfNumber(bytes: Buffer, at: number, end: number, limits: JsonLimits): number {
  const start = at < end && bytes[at] === MINUS ? at + 1 : at
  const whole = passDigits(bytes, start, end)
  if (whole === start) {
    if (start > at && start < end && bytes[start] === 0x49 && limits.isPlain !== true)
      return endOfWord(bytes, start, end, 'Infinity')
    throw start > at ? noDigit(bytes, start, end) : noValue(bytes, at, end)
  }
  if (whole - start > 1 && bytes[start] === ZERO) throw new JsonSyntaxError('A number begins with a needless 0', start)
  const next = whole < end ? bytes[whole]! : 0
  if (next === POINT || (next | 0x20) === 0x65) return endOfFloat(bytes, whole, end)
  if (whole - start > limits.integerDigits) {
    throw new JsonLimitError('integerDigits', `An integer has more than ${limits.integerDigits} digits`, at)
  }
  return whole
}

/** `at` is the index of the point or the exponent's e. */
function endOfFloat(bytes: Buffer, at: number, end: number): number {
  if (bytes[at] === POINT) {
    at = endOfDigits(bytes, at + 1, end)
    if (at >= end || (bytes[at]! | 0x20) !== 0x65) return at
  }
  const sign = at + 1 < end ? bytes[at + 1] : 0
  return endOfDigits(bytes, sign === PLUS || sign === MINUS ? at + 2 : at + 1, end)
}

/** One digit at least. */
function endOfDigits(bytes: Buffer, at: number, end: number): number {
  const stop = passDigits(bytes, at, end)
  if (stop === at) throw noDigit(bytes, at, end)
  return stop
}

function passDigits(bytes: Buffer, at: number, end: number): number {
  while (at < end && bytes[at]! >= ZERO && bytes[at]! <= NINE) at++
  return at
}

function noDigit(bytes: Buffer, at: number, end: number): JsonSyntaxError {
  return new JsonSyntaxError(`Expected a digit, found ${found(bytes, at, end)}`, at)
}

/** Names the byte at an index for an error message. */
export function found(bytes: Buffer, at: number, end: number): string {
  if (at >= end) return 'the end'
  const byte = bytes[at]!
  return byte > SPACE && byte < 0x7f
    ? `'${String.fromCharCode(byte)}'`
    : `the byte 0x${byte.toString(16).padStart(2, '0')}`
}
