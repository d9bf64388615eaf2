import { BACKSLASH } from './bytes.ts'

/** Where some bytes lie: from `start` up to, not including, `end`. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** Up to this many bytes a loop finds a backslash sooner than a native call does. */
const SHORT = 64

/** The text of a string, whose quotes are in the range. The bytes must have been scanned. */
export function stringAt(bytes: Buffer, range: ByteRange): string {
  const { start, end } = range
  if (hasBackslash(bytes, range)) return JSON.parse(bytes.toString('utf8', start, end)) as string
  return bytes.toString('utf8', start + 1, end - 1)
}

function hasBackslash(bytes: Buffer, { start, end }: ByteRange): boolean {
  if (end - start > SHORT) return bytes.subarray(start, end).includes(BACKSLASH)
  for (let at = start; at < end; at++) if (bytes[at] === BACKSLASH) return true
  return false
}
