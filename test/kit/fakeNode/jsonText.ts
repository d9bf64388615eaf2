/**
 * JSON as text: where values lie, so that they can be cut out and spliced in byte for byte.
 * Texts are latin1 strings, one character a byte; positions are byte offsets.
 */

const QUOTE = 0x22
const BACKSLASH = 0x5c

/** A value's place: `text.slice(start, end)`. */
export interface Span {
  start: number
  end: number
}

/**
 * Reads UTF-8 JSON as Python does: `NaN`, `Infinity` and `-Infinity` are values (here: null).
 * Throws SyntaxError. Bytes that are no UTF-8 are the caller's to refuse.
 */
export function parsePython(bytes: Buffer): unknown {
  const text = bytes.toString()
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    if (!/NaN|Infinity/.test(text)) throw error
    const tokens = /"(?:[^"\\]|\\.)*"|-?Infinity|NaN/gs
    return JSON.parse(text.replace(tokens, (token) => (token.startsWith('"') ? token : 'null'))) as unknown
  }
}

/** Where the member `name` of the object at `start` has its value; the last one counts where it comes twice. */
export function memberSpan(text: string, name: string, start = 0): Span | undefined {
  let found: Span | undefined
  const quoted = `"${name}"`
  let at = skipSpace(text, skipSpace(text, start) + 1)
  while (text.charCodeAt(at) === QUOTE) {
    const keyEnd = skipString(text, at)
    const colon = skipSpace(text, keyEnd)
    const valueStart = skipSpace(text, colon + 1)
    const end = skipValue(text, valueStart)
    if (keyEnd - at === quoted.length && text.startsWith(quoted, at)) found = { start: valueStart, end }
    at = skipSpace(text, skipSpace(text, end) + 1)
  }
  return found
}

/** Where the items of the array at `start` lie. */
export function itemSpans(text: string, start = 0): Span[] {
  const spans: Span[] = []
  let at = skipSpace(text, skipSpace(text, start) + 1)
  while (at < text.length && text[at] !== ']') {
    const end = skipValue(text, at)
    spans.push({ start: at, end })
    at = skipSpace(text, end)
    if (text[at] === ',') at = skipSpace(text, at + 1)
  }
  return spans
}

/** Text that JSON writes as it is. */
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/

/** JSON as Python's `json.dumps` writes it: ASCII only. */
export function asciiJson(value: unknown): string {
  if (typeof value === 'string' && PLAIN.test(value)) return `"${value}"`
  return JSON.stringify(value).replace(
    /[\u0080-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

function skipSpace(text: string, at: number): number {
  for (;;) {
    const char = text.charCodeAt(at)
    if (char !== 0x20 && char !== 0x0a && char !== 0x0d && char !== 0x09) return at
    at++
  }
}

/** The position after the string that opens at `at`. */
function skipString(text: string, at: number): number {
  for (let end = text.indexOf('"', at + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let escapes = 0
    while (text.charCodeAt(end - 1 - escapes) === BACKSLASH) escapes++
    if (escapes % 2 === 0) return end + 1
  }
  return text.length
}

/** The position after the value that begins at `at`; the text is known to be well formed. */
function skipValue(text: string, at: number): number {
  const first = text.charCodeAt(at)
  if (first === QUOTE) return skipString(text, at)
  const isNested = first === 0x7b || first === 0x5b
  let depth = 0
  while (at < text.length) {
    const char = text.charCodeAt(at)
    if (char === QUOTE) {
      at = skipString(text, at)
      continue
    }
    if (isNested) {
      if (char === 0x7b || char === 0x5b) depth++
      else if ((char === 0x7d || char === 0x5d) && --depth === 0) return at + 1
    } else if (char === 0x2c || char === 0x7d || char === 0x5d || char <= 0x20) {
      return at
    }
    at++
  }
  return at
}
