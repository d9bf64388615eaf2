import { SkippedLines } from '../../base/badLines.ts'
import { readListText } from '../../json/listText.ts'
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
const EXPECTED = 'a JSON array of services, such as [{"name": "chat", "url": "http://127.0.0.1:8000"}]'

/** Reads the text of a services file. A bad entry is skipped. */
export function readServiceList(text: string, readVariable: ReadVariable): ServiceList {
  const skipped = new SkippedLines()
  const positions: number[] = []
  const unknown: UnknownMembers[] = []
  const list = readListText(text, EXPECTED, skipped)
  if (!list) return { specs: undefined, skipped, positions, unknown }
  const { entries, lineOf } = list
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
