import type { PrefixChain } from '../../dispatch/index.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const SPACE = 0x20
const LETTER_U = 0x75

/** Between strings, inside one, behind its backslash, inside the digits of an escape. */
type State = 'between' | 'inside' | 'escape' | 'digits'

const SHORT_ESCAPES: Readonly<Record<number, number>> = { 0x62: 8, 0x66: 12, 0x6e: 10, 0x72: 13, 0x74: 9 }

/**
 * Adds the arguments of a tool call, which are JSON, to a chain without what differs between ways to write them: white space and
 * escapes. Clients that keep arguments as an object write them anew, and models write spaces as they like. No arguments at all
 * are `{}`. They come in pieces that end anywhere; what is no JSON is added as some text.
 */
export class ArgumentsText {
  readonly #chain: PrefixChain
  #state: State = 'between'
  #isEmpty = true
  #digits = 0
  #unit = 0

  constructor(chain: PrefixChain) {
    this.#chain = chain
  }

  /** The next character. */
  addUnit(unit: number): void {
    switch (this.#state) {
      case 'between':
        if (unit > SPACE) this.#addBetween(unit)
        return
      case 'inside':
        if (unit === BACKSLASH) this.#state = 'escape'
        else this.#addInside(unit)
        return
      case 'escape':
        this.#addEscaped(unit)
        return
      case 'digits':
        this.#unit = (this.#unit << 4) | digit(unit)
        if (++this.#digits === 4) {
          this.#state = 'inside'
          this.#chain.addUnit(this.#unit & 0xffff)
        }
    }
  }

  /** JSON as it stands in the bytes, in UTF-8. Returns where to go on: behind the last character that begins before `end`. */
  addBytes(bytes: Buffer, start: number, end: number): number {
    let at = start
    while (at < end) {
      const plain = this.#endOfPlain(bytes, at, end)
      if (plain > at) this.#chain.addBytes(bytes, at, plain)
      at = plain
      if (at >= end) break
      if (bytes[at]! < 0x80) {
        this.addUnit(bytes[at++]!)
      } else {
        const stop = endOfWide(bytes, at, end)
        this.#addText(bytes.toString('utf8', at, stop))
        at = stop
      }
    }
    return at
  }

  /**
   * JSON within a JSON string, which may be a piece of the whole. `at` is the index of a byte inside the string. Returns the index
   * behind its closing quote; where that is not found before `stop`, the index from which to go on, negated.
   */
  addJson(bytes: Buffer, at: number, stop: number): number {
    while (at < stop) {
      const plain = this.#endOfPlain(bytes, at, stop)
      if (plain > at) this.#chain.addBytes(bytes, at, plain)
      at = plain
      if (at >= stop) break
      const byte = bytes[at]!
      if (byte === QUOTE) return at + 1
      if (byte === BACKSLASH) {
        at = this.#unescape(bytes, at + 1)
      } else if (byte < 0x80) {
        this.addUnit(byte)
        at++
      } else {
        const end = endOfWide(bytes, at, stop)
        this.#addText(bytes.toString('utf8', at, end))
        at = end
      }
    }
    return -at
  }

  /** After the last piece. */
  end(): void {
    if (this.#isEmpty) this.#chain.add('{}')
  }

  #addText(text: string): void {
    for (let i = 0; i < text.length; i++) this.addUnit(text.charCodeAt(i))
  }

  #addBetween(unit: number): void {
    this.#isEmpty = false
    if (unit === QUOTE) this.#state = 'inside'
    this.#chain.addUnit(unit)
  }

  #addInside(unit: number): void {
    if (unit === QUOTE) this.#state = 'between'
    this.#chain.addUnit(unit)
  }

  #addEscaped(unit: number): void {
    if (unit === LETTER_U) {
      this.#state = 'digits'
      this.#digits = this.#unit = 0
      return
    }
    this.#state = 'inside'
    this.#chain.addUnit(SHORT_ESCAPES[unit] ?? unit)
  }

  /** Inside a string most characters are added as they stand. */
  #endOfPlain(bytes: Buffer, start: number, end: number): number {
    if (this.#state !== 'inside') return start
    let at = start
    while (at < end) {
      const byte = bytes[at]!
      if (byte === QUOTE || byte === BACKSLASH || byte >= 0x80) break
      at++
    }
    return at
  }

  #unescape(bytes: Buffer, at: number): number {
    const byte = bytes[at] ?? 0
    if (byte !== LETTER_U) {
      this.addUnit(SHORT_ESCAPES[byte] ?? byte)
      return at + 1
    }
    let unit = 0
    for (let i = 1; i <= 4; i++) unit = (unit << 4) | digit(bytes[at + i] ?? 0)
    this.addUnit(unit)
    return at + 5
  }
}

/** The end of characters of several bytes each. */
function endOfWide(bytes: Buffer, start: number, end: number): number {
  let at = start
  while (at < bytes.length && bytes[at]! >= 0x80 && (at < end || (bytes[at]! & 0xc0) === 0x80)) at++
  return at
}

function digit(unit: number): number {
  return unit <= 0x39 ? unit & 15 : ((unit & 7) + 9) & 15
}
