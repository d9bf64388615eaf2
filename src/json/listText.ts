import type { SkippedLines } from '../base/badLines.ts'

/** The elements of a file that is a JSON array. */
interface ListText {
  readonly entries: readonly unknown[]
  /** The line on which the element with this index begins, from 1. */
  readonly lineOf: (index: number) => number
}

/**
 * Reads a JSON array that people write, as a whole; undefined where the text is none, which is told as a skipped line. Nothing of the
 * text is told, which may hold keys.
 *
 * @param expected what it should be, for people
 */
export function readListText(text: string, expected: string, skipped: SkippedLines): ListText | undefined {
  const content = text.replace(/^\uFEFF/, '')
  let reason = `expected ${expected}`
  let line: number | null = null
  try {
    const entries: unknown = JSON.parse(content)
    if (Array.isArray(entries)) {
      let lines: readonly number[] | undefined
      return { entries, lineOf: (index) => (lines ??= linesOfElements(content))[index]! }
    }
  } catch (error) {
    // The rest of the message quotes the text.
    const [, place, column] = /\(line (\d+) column (\d+)\)/.exec(String(error)) ?? []
    if (place !== undefined) line = Number(place)
    reason = `not JSON${column === undefined ? '' : ` from column ${column} on`}`
  }
  skipped.add({ line, entry: null, reason })
  return undefined
}

/** The line on which each element of a JSON array begins. The text is known to be one. */
function linesOfElements(text: string): number[] {
  const lines: number[] = []
  let line = 1
  let depth = 0
  let isExpected = false
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!
    if (character === '\n') line++
    if (character <= ' ') continue
    if (isExpected && character !== ']') lines.push(line)
    isExpected = depth === 1 ? character === ',' : depth === 0
    if (character === '"') at = endOfString(text, at)
    else if (character === '[' || character === '{') depth++
    else if (character === ']' || character === '}') depth--
  }
  return lines
}

/** The index of the quote that ends the string which begins here. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; ; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === '"') return at
  }
}
