import { SPACE, QUOTE, COMMA, COLON, OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE } from './bytes.ts'
import { passString, skipSpace } from './grammar.ts'

/** Bytes of one value that are passed over in one step. */
const STEP_BYTES = 256 * 1024
/** A member with a longer name, bytes as written, ends what is read. */
const LONGEST_NAME = 64 * 1024
/** Longer white space, bytes, ends what is read. */
const LONGEST_SPACE = 64 * 1024
/** Bytes between two pauses, however small the values: millions of them take longer than their bytes. */
const PAUSE_BYTES = 16 * 1024

/**
 * Goes through JSON value by value without making anything of it. It checks little: bytes that have not been scanned may throw a
 * JsonSyntaxError or read as some other value, but never end in a loop.
 */
export class JsonCursor {
  readonly bytes: Buffer
  readonly end: number
  /** Where a value begins, after `next` or `nextMember`. */
  at: number
  /** The last member's name, without its quotes, as written. */
  nameStart = 0
  nameEnd = 0
  /** Containers open within a value that is being passed over. */
  #depth = 0
  #inString = false
  #pauseAt: number

  constructor(bytes: Buffer, at = 0, end = bytes.length) {
    this.bytes = bytes
    this.end = end
    this.at = skipSpace(bytes, at, end)
    this.#pauseAt = at + PAUSE_BYTES
  }

  /** Reads no further: whatever is open ends here. */
  leave(): void {
    this.at = this.end
  }

  /** Whether it is time for others to have their turn. */
  isPauseDue(): boolean {
    if (this.at < this.#pauseAt) return false
    this.#pauseAt = this.at + PAUSE_BYTES
    return true
  }

  get isString(): boolean {
    return this.bytes[this.at] === QUOTE
  }

  get isArray(): boolean {
    return this.bytes[this.at] === OPEN_BRACKET
  }

  get isObject(): boolean {
    return this.bytes[this.at] === OPEN_BRACE
  }

  /** Steps into an array or object: then `next` or `nextMember` leads to its first part. */
  enter(): void {
    this.at++
  }

  /** Moves on to the next element; false, and behind the array, where there is none. */
  next(): boolean {
    const { bytes, end } = this
    let at = this.#passSpace(this.at)
    while (at < end && bytes[at] === COMMA) at = this.#passSpace(at + 1)
    const byte = bytes[at]
    const isOver = at >= end || byte === CLOSE_BRACKET || byte === CLOSE_BRACE
    this.at = isOver && at < end ? at + 1 : at
    return !isOver
  }

  /** Moves on to the next member's value; false, and behind the object, where there is none. */
  nextMember(): boolean {
    if (!this.next()) return false
    const { bytes, end, at } = this
    if (bytes[at] !== QUOTE) return this.#lost()
    const behind = passString(bytes, at + 1, end, Math.min(end, at + 1 + LONGEST_NAME))
    if (behind < 0) return this.#lost()
    this.nameStart = at + 1
    this.nameEnd = behind - 1
    const colon = this.#passSpace(behind)
    if (bytes[colon] !== COLON) return this.#lost()
    this.at = this.#passSpace(colon + 1)
    return this.at < end
  }

  /** Whether the last member has this name, in ASCII and written without escapes. */
  isNamed(name: string): boolean {
    return this.nameEnd - this.nameStart === name.length && startsWith(this.bytes, this.nameStart, name)
  }

  /** Whether the value is this text, in ASCII and written without escapes. */
  isText(text: string): boolean {
    const { bytes, at } = this
    return bytes[at] === QUOTE && startsWith(bytes, at + 1, text) && bytes[at + 1 + text.length] === QUOTE
  }

  /** Whether the value is a text that begins so, in ASCII and written without escapes. */
  beginsWith(text: string): boolean {
    return this.isString && startsWith(this.bytes, this.at + 1, text)
  }

  /** Passes over a value; false where that takes another step: then it has to be called again. */
  skip(): boolean {
    if (this.at >= this.#pauseAt && this.isPauseDue()) return false
    const { bytes, end } = this
    const stop = Math.min(end, this.at + STEP_BYTES)
    let at = this.at
    do {
      if (this.#inString || bytes[at] === QUOTE) {
        const behind = passString(bytes, this.#inString ? at : at + 1, end, stop)
        this.#inString = behind < 0
        at = Math.abs(behind)
      } else {
        at = this.#skipOther(at, stop)
      }
    } while ((this.#depth > 0 || this.#inString) && at < stop)
    this.at = at
    if (at < end && (this.#depth > 0 || this.#inString)) return false
    this.#depth = 0
    this.#inString = false
    return true
  }

  /** Up to the next string, or to the end of the value. */
  #skipOther(start: number, stop: number): number {
    const { bytes } = this
    let at = start
    let depth = this.#depth
    for (; at < stop; at++) {
      const byte = bytes[at]!
      if (byte === QUOTE) break
      if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
        depth++
      } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
        if (depth === 0) break
        if (--depth === 0) {
          at++
          break
        }
      } else if (depth === 0 && (byte === COMMA || byte <= 0x20)) {
        break
      }
    }
    this.#depth = depth
    return at
  }

  /** The index behind white space; the end, where that is too long. */
  #passSpace(at: number): number {
    const { bytes, end } = this
    // Mostly there is none, or little.
    if (bytes[at]! > SPACE) return at
    const behind = skipSpace(bytes, at, Math.min(end, at + LONGEST_SPACE))
    return behind - at < LONGEST_SPACE ? behind : end
  }

  #lost(): false {
    this.leave()
    return false
  }
}

function startsWith(bytes: Buffer, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false
  return true
}
