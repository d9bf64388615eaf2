import { SkippedLines } from '../../base/badLines.ts'
import { AddressError, type NodeSpec } from '../address.ts'
import { readServiceEntry, SERVICE_MEMBERS, type ReadVariable } from './serviceEntry.ts'

/** What a services file says. */
export interface ServiceList {
  /** Undefined where the text is no JSON list. */
  readonly specs: readonly NodeSpec[] | undefined
  readonly skipped: SkippedLines
  /** Positions in the list, from 1, of the entries that are kept in `skipped`. */
  readonly positions: readonly number[]
  /** Members that mean nothing, of entries that are good otherwise. */
  readonly unknown: readonly UnknownMembers[]
}

interface UnknownMembers {
  /** Position in the list, from 1. */
  readonly entry: number
  readonly line: number
  readonly members: readonly string[]
}

/** Unknown members that are told of one entry, and entries of which they are. */
const MOST_MEMBERS = 10
const MOST_ENTRIES = 100
const MOST_NAME = 100

/** Reads the text of a services file. A bad entry is skipped. */
export function readServiceList(text: string, readVariable: ReadVariable): ServiceList {
  const skipped = new SkippedLines()
  const positions: number[] = []
  const unknown: UnknownMembers[] = []
  const content = text.replace(/^\uFEFF/, '')
  const entries = parseList(content, skipped)
  if (!entries) return { specs: undefined, skipped, positions, unknown }
  let lines: readonly number[] | undefined
  const lineOf = (index: number): number => (lines ??= linesOfElements(content))[index]!
  const names = new Set<string>()
  const specs: NodeSpec[] = []
  for (const [index, entry] of entries.entries()) {
    try {
      const spec = readServiceEntry(entry, readVariable)
      if (names.has(spec.name)) throw new AddressError(`a second service named "${spec.name}"`)
      names.add(spec.name)
      specs.push(spec)
      const members = unknownMembers(entry as object)
      if (members.length > 0 && unknown.length < MOST_ENTRIES)
        unknown.push({ entry: index + 1, line: lineOf(index), members })
    } catch (error) {
      if (!(error instanceof AddressError)) throw error
      const isKept = skipped.add({ line: lineOf(index), entry: nameOf(entry, index), reason: error.message })
      if (isKept) positions.push(index + 1)
    }
  }
  return { specs, skipped, positions, unknown }
}

function parseList(text: string, skipped: SkippedLines): unknown[] | undefined {
  let reason = 'expected a JSON array of services, such as [{"name": "chat", "url": "http://127.0.0.1:8000"}]'
  let line: number | null = null
  try {
    const value: unknown = JSON.parse(text)
    if (Array.isArray(value)) return value as unknown[]
  } catch (error) {
    // The rest of the message quotes the text, which may hold keys.
    const [, place, column] = /\(line (\d+) column (\d+)\)/.exec(String(error)) ?? []
    if (place !== undefined) line = Number(place)
    reason = `not JSON${column === undefined ? '' : ` from column ${column} on`}`
  }
  skipped.add({ line, entry: null, reason })
  return undefined
}

function unknownMembers(entry: object): string[] {
  return Object.keys(entry)
    .filter((member) => !SERVICE_MEMBERS.includes(member))
    .slice(0, MOST_MEMBERS)
    .map((member) => member.slice(0, MOST_NAME))
}

/** What people call the entry. */
function nameOf(entry: unknown, index: number): string {
  const name = (entry as { name?: unknown } | null)?.name
  return typeof name === 'string' && name !== '' ? name : `entry ${index + 1}`
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
