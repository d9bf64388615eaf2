import { mixed32 } from '../hash.ts'

/** Characters (UTF-16 units) after which a chain has another number. */
export const PIECE_CHARACTERS = 1024

/** Characters that are mixed in one step. */
const GROUP = 4
const PIECE_GROUPS = PIECE_CHARACTERS / GROUP

const QUOTE = 0x22
const BACKSLASH = 0x5c
const LETTER_N = 0x6e
const LETTER_U = 0x75
/** What the letter behind a backslash stands for. */
const SHORT_ESCAPES = Uint8Array.from({ length: 256 }, (_, letter) => letter)
for (const [letter, unit] of Object.entries({ b: 8, f: 12, n: 10, r: 13, t: 9 }))
  SHORT_ESCAPES[letter.charCodeAt(0)] = unit
const HEX_DIGITS = Uint8Array.from({ length: 256 }, (_, byte) => parseInt(String.fromCharCode(byte), 16) || 0)

/** Fixed, so that all gateways have the same numbers for a text. */
const FIRST_LEFT = 0x811c9dc5 | 0
const FIRST_RIGHT = 0x1b873593
const FACTOR = 0x2c1b3c6d
/** Sets the upper halves of characters apart from a group of others. */
const UPPER = 0x6a09e667

/** Characters of a string that are read at once, by way of a buffer: reading them one by one takes six times as long. */
const STRETCH = 4096
/** Before them there is room for those that do not fill a group yet. */
const stretch = Buffer.allocUnsafeSlow(2 * (STRETCH + GROUP))
const stretchUnits = new Uint16Array(stretch.buffer)
const stretchWords = new Int32Array(stretch.buffer)

/**
 * Stands for a text and each of its beginnings: a running hash that gives a number after every 1,024 characters. Two texts have
 * the same first numbers exactly as far as they begin alike, in whatever parts they are added. What follows the last number is
 * known by nothing. A hash for caches: it resists chance, not intent.
 *
 * The state is 64 bits. Four characters at a time are mixed into it: their lower halves as one word, their upper halves, if any
 * is not 0, as another.
 */
export class PrefixChain {
  /** 52-bit numbers; that at `i` stands for the first `(i + 1) · 1,024` characters. */
  readonly numbers: number[]
  #left = FIRST_LEFT
  #right = FIRST_RIGHT
  #groupsLeft = PIECE_GROUPS
  /** The characters that do not fill a group yet: lower and upper halves, and eight bits for each of them. */
  #lower = 0
  #upper = 0
  #bits = 0

  constructor(numbers: number[] = []) {
    this.numbers = numbers
  }

  /** Characters so far. */
  get length(): number {
    return (this.numbers.length + 1) * PIECE_CHARACTERS - this.#groupsLeft * GROUP + (this.#bits >> 3)
  }

  /** Stands for all characters so far, also those behind the last number. 52 bits. */
  get state(): number {
    const tail = Math.imul(this.#lower ^ Math.imul(this.#upper, FACTOR), FACTOR) + this.#bits
    return numberOf(this.#left ^ tail, this.#right + Math.imul(tail, UPPER))
  }

  /** Appends a text. */
  add(text: string): void {
    const { length } = text
    if (length < 2 * GROUP) {
      for (let at = 0; at < length; at++) this.addUnit(text.charCodeAt(at))
      return
    }
    for (let at = 0; at < length; at += STRETCH) {
      const part = length <= STRETCH ? text : text.slice(at, at + STRETCH)
      const before = this.#bits >> 3
      for (let i = 0; i < before; i++) {
        stretchUnits[i] = ((this.#lower >>> (8 * i)) & 0xff) | (((this.#upper >>> (8 * i)) & 0xff) << 8)
      }
      this.#lower = this.#upper = this.#bits = 0
      stretch.write(part, 2 * before, 'utf16le')
      this.#addStretch(before + part.length)
    }
  }

  /** Appends one character. */
  addUnit(unit: number): void {
    const bits = this.#bits
    this.#lower |= (unit & 0xff) << bits
    this.#upper |= (unit >>> 8) << bits
    this.#bits = bits + 8
    if (bits === 24) this.#mixGroup()
  }

  /** Appends bytes, each as a character. */
  addBytes(bytes: Uint8Array, start: number, end: number): void {
    let at = start
    while (this.#bits !== 0 && at < end) this.addUnit(bytes[at++]!)
    let left = this.#left
    let right = this.#right
    while (at + GROUP <= end) {
      let groups = Math.min(this.#groupsLeft, (end - at) >> 2)
      this.#groupsLeft -= groups
      for (; groups > 0; groups--, at += GROUP) {
        const word = wordAt(bytes, at)
        const mixed = Math.imul(left ^ word, FACTOR)
        left = right
        right = (right + ((mixed << 15) | (mixed >>> 17))) | 0
      }
      if (this.#groupsLeft === 0) this.#endPiece(left, right)
    }
    this.#left = left
    this.#right = right
    while (at < end) this.addUnit(bytes[at++]!)
  }

  /**
   * Appends the text of a JSON string, decoded, in UTF-8. `at` is the index of a byte inside the string. Returns the index behind
   * its closing quote; where that is not found before `stop`, the index from which to go on, negated. It may lie a little
   * behind `stop`. Bytes that are no JSON give some text or other.
   */
  addJson(bytes: Uint8Array, at: number, stop: number): number {
    const { byteOffset } = bytes
    const words = bytes.length < LEAST_IN_VIEW ? undefined : wordsOf(bytes)
    let left = this.#left
    let right = this.#right
    let lower = this.#lower
    let upper = this.#upper
    let bits = this.#bits
    let groupsLeft = this.#groupsLeft
    let result = 0
    while (result === 0) {
      if (upper === 0 && ((byteOffset + at) & 3) === 0) {
        // Four at a time, as long as each byte is a character as it stands. For a word w, (w - 0x01010101) & ~w & 0x80808080
        // is not 0 exactly where one of its bytes is 0, as one that equals c is in w ^ c·0x01010101.
        const start = (byteOffset + at) >> 2
        const end = start + ((stop - at) >> 2)
        let place = start
        for (; place < end; place++) {
          const word = words === undefined ? wordAt(bytes, place * 4 - byteOffset) : words[place]!
          const quote = word ^ 0x22222222
          const backslash = word ^ 0x5c5c5c5c
          const hit = ((quote - 0x01010101) & ~quote) | ((backslash - 0x01010101) & ~backslash) | word
          if ((hit & 0x80808080) !== 0) break
          const group = lower | (word << bits)
          lower = (word >>> 1) >>> (31 - bits)
          const mixed = Math.imul(left ^ group, FACTOR)
          left = right
          right = (right + ((mixed << 15) | (mixed >>> 17))) | 0
          if (--groupsLeft === 0) {
            groupsLeft = PIECE_GROUPS
            this.numbers.push(numberOf(left, right))
          }
        }
        at += (place - start) * 4
      }
      if (at >= stop) {
        result = -at
        break
      }
      let unit = bytes[at++]!
      /** Half of a character that is two units. */
      let second = -1
      if (unit === QUOTE) {
        result = at
        break
      } else if (unit === BACKSLASH) {
        unit = bytes[at++]!
        if (unit === LETTER_N) {
          unit = 10
        } else if (unit === LETTER_U) {
          unit = hexAt(bytes, at)
          at += 4
        } else {
          unit = SHORT_ESCAPES[unit]!
        }
      } else if (unit >= 0x80) {
        if (unit < 0xe0) {
          unit = ((unit & 31) << 6) | (bytes[at]! & 63)
          at++
        } else if (unit < 0xf0) {
          unit = ((unit & 15) << 12) | ((bytes[at]! & 63) << 6) | (bytes[at + 1]! & 63)
          at += 2
        } else {
          const point =
            ((unit & 7) << 18) | ((bytes[at]! & 63) << 12) | ((bytes[at + 1]! & 63) << 6) | (bytes[at + 2]! & 63)
          unit = (0xd7c0 + (point >> 10)) & 0xffff
          second = 0xdc00 | (point & 0x3ff)
          at += 3
        }
      }
      for (;;) {
        lower |= (unit & 0xff) << bits
        upper |= (unit >>> 8) << bits
        bits += 8
        if (bits === 32) {
          let mixed = Math.imul(left ^ lower, FACTOR)
          left = right
          right = (right + ((mixed << 15) | (mixed >>> 17))) | 0
          if (upper !== 0) {
            mixed = Math.imul(left ^ upper ^ UPPER, FACTOR)
            left = right
            right = (right + ((mixed << 15) | (mixed >>> 17))) | 0
          }
          lower = upper = bits = 0
          if (--groupsLeft === 0) {
            groupsLeft = PIECE_GROUPS
            this.numbers.push(numberOf(left, right))
          }
        }
        if (second < 0) break
        unit = second
        second = -1
      }
    }
    this.#left = left
    this.#right = right
    this.#lower = lower
    this.#upper = upper
    this.#bits = bits
    this.#groupsLeft = groupsLeft
    return result
  }

  /** The same so far; what is added to one is not added to the other. */
  fork(): PrefixChain {
    const copy = new PrefixChain(this.numbers.slice())
    copy.#left = this.#left
    copy.#right = this.#right
    copy.#groupsLeft = this.#groupsLeft
    copy.#lower = this.#lower
    copy.#upper = this.#upper
    copy.#bits = this.#bits
    return copy
  }

  #addStretch(length: number): void {
    const words = stretchWords
    let at = 0
    let left = this.#left
    let right = this.#right
    while (at + GROUP <= length) {
      let groups = Math.min(this.#groupsLeft, (length - at) >> 2)
      this.#groupsLeft -= groups
      for (let i = at >> 1; groups > 0; groups--, i += 2, at += GROUP) {
        const first = words[i]!
        const second = words[i + 1]!
        const lower = (first & 0xff) | ((first >>> 8) & 0xff00) | ((second & 0xff) << 16) | ((second << 8) & 0xff000000)
        const mixed = Math.imul(left ^ lower, FACTOR)
        left = right
        right = (right + ((mixed << 15) | (mixed >>> 17))) | 0
        if (((first | second) & 0xff00ff00) === 0) continue
        const upper =
          ((first >>> 8) & 0xff) | ((first >>> 16) & 0xff00) | ((second << 8) & 0xff0000) | (second & 0xff000000)
        const again = Math.imul(left ^ upper ^ UPPER, FACTOR)
        left = right
        right = (right + ((again << 15) | (again >>> 17))) | 0
      }
      if (this.#groupsLeft === 0) this.#endPiece(left, right)
    }
    this.#left = left
    this.#right = right
    for (; at < length; at++) this.addUnit(stretchUnits[at]!)
  }

  #mixGroup(): void {
    this.#mix(this.#lower)
    if (this.#upper !== 0) this.#mix(this.#upper ^ UPPER)
    this.#lower = this.#upper = this.#bits = 0
    if (--this.#groupsLeft === 0) this.#endPiece(this.#left, this.#right)
  }

  #mix(word: number): void {
    const mixed = Math.imul(this.#left ^ word, FACTOR)
    this.#left = this.#right
    this.#right = (this.#right + ((mixed << 15) | (mixed >>> 17))) | 0
  }

  #endPiece(left: number, right: number): void {
    this.#groupsLeft = PIECE_GROUPS
    this.numbers.push(numberOf(left, right))
  }
}

function hexAt(bytes: Uint8Array, at: number): number {
  return (
    (HEX_DIGITS[bytes[at]!]! << 12) |
    (HEX_DIGITS[bytes[at + 1]!]! << 8) |
    (HEX_DIGITS[bytes[at + 2]!]! << 4) |
    HEX_DIGITS[bytes[at + 3]!]!
  )
}

/** Four bytes as one word. */
function wordAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
}

/** Making a view of fewer bytes takes longer than it spares. */
const LEAST_IN_VIEW = 4096
/** Memory up to this size, bytes, is kept in view from one call to the next; more would be kept from being freed. */
const MOST_KEPT_IN_VIEW = 1024 * 1024
let inView: Int32Array = new Int32Array(0)

/** All memory around the bytes, as words. Making a view takes as long as reading 200 bytes, so the last one is kept. */
function wordsOf({ buffer }: Uint8Array): Int32Array {
  if (buffer === inView.buffer) return inView
  const words = new Int32Array(buffer, 0, buffer.byteLength >> 2)
  if (buffer.byteLength <= MOST_KEPT_IN_VIEW) inView = words
  return words
}

/** 52 bits that a number holds exactly, of both halves of the state. */
function numberOf(left: number, right: number): number {
  return (
    (mixed32(left ^ Math.imul(right, 0x9e3779b1)) >>> 0) * 2 ** 20 + (mixed32(right ^ Math.imul(left, FACTOR)) >>> 12)
  )
}
