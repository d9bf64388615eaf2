import type { JsonMember } from './scan.ts'
import type { ByteRange } from './text.ts'

/** The member of that name: the last one of several, as Python reads them. */
export function memberOf(members: readonly JsonMember[], name: string): JsonMember | undefined {
  for (let i = members.length - 1; i >= 0; i--) {
    const member = members[i] as JsonMember
    if (member.name === name) return member
  }
  return undefined
}

/** A copy of `bytes` in which `replacement` stands in place of the span. */
export function splice(bytes: Buffer, { start, end }: ByteRange, replacement: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, start), replacement, bytes.subarray(end)])
}

const OPEN = Buffer.from('[')
const SEPARATOR = Buffer.from(',')
const CLOSE = Buffer.from(']')

/** An array whose elements are the given values, their bytes as they are. */
export function joinArray(values: readonly Buffer[]): Buffer {
  const parts = values.flatMap((value, i) => (i === 0 ? [value] : [SEPARATOR, value]))
  return Buffer.concat([OPEN, ...parts, CLOSE])
}
