import { isTooLong, MAX_ID_BYTES } from '../ids.ts'
import {
  ANSWER_LIMITS,
  firstElementsSteps,
  memberOf,
  objectSteps,
  scanObject,
  scanSteps,
  splice,
  stringAt,
  type JsonMember,
  type JsonSpan,
} from '../json/index.ts'
import type { Steps } from '../base/turns.ts'
import type { LeftOut } from './info.ts'

/** Models of one service that are taken note of. */
const MAX_MODELS = 10_000
/** Longest entry that is kept as the service writes it, bytes; of longer ones the id is. */
const MAX_ENTRY_BYTES = 32 * 1024
/** Entries of one service that are kept as it writes them, bytes in all; of the others the id is. */
const MAX_ENTRIES_BYTES = 1024 * 1024

/** A model as a service lists it. */
export interface ModelEntry {
  readonly id: string
  /** The entry in JSON, byte for byte as the service writes it, with what clients need and it leaves out. */
  readonly json: string
}

/** What stands in an entry whose service leaves it out. */
export interface EntryDefaults {
  readonly ownedBy: string
  /** Seconds since 1970. */
  readonly created: number
}

/** What a service lists at `/models`. */
export interface ModelList {
  readonly models: readonly ModelEntry[]
  /** Missing where nothing was left out. */
  readonly leftOut?: LeftOut | undefined
}

/**
 * Reads a service's list of models as far as it can be read: `{"data":[{"id"}]}`, or the list alone. Entries without an id are
 * passed over. Undefined where there is no list.
 */
export function* modelSteps(answer: Buffer, defaults: EntryDefaults): Steps<ModelList | undefined> {
  const value = yield* scanSteps(answer, 0, answer.length, ANSWER_LIMITS)
  const list = value.kind === 'object' ? memberOf(value.members, 'data') : value
  // How a server written in Go writes an empty list.
  if (value.kind === 'object' && list?.kind === 'null') return { models: [] }
  if (list?.kind !== 'array') return undefined
  const { elements, count } = yield* firstElementsSteps(answer, list, MAX_MODELS)
  const models: ModelEntry[] = []
  let tooLong = 0
  let keptBytes = 0
  for (const element of elements) {
    const entry = yield* readEntry(answer, element)
    if (entry) {
      const { id, members } = entry
      const bytes = element.end - element.start
      const isKept = bytes <= MAX_ENTRY_BYTES && keptBytes + bytes <= MAX_ENTRIES_BYTES
      if (isTooLong(id)) tooLong++
      else
        models.push({
          id,
          json: (isKept && completeEntry(answer, element, members, defaults)) || minimalEntry(id, defaults),
        })
      if (isKept) keptBytes += bytes
    }
    yield
  }
  const tooMany = count - elements.length
  return { models, ...(tooLong + tooMany > 0 && { leftOut: { tooLong, tooMany } }) }
}

/** An entry of the members that every client may rely on. */
export function minimalEntry(id: string, defaults: EntryDefaults): string {
  return JSON.stringify({ id, ...defaultMembers(defaults) })
}

/** An entry under another id. */
export function renamedEntry(json: string, id: string): string {
  const bytes = Buffer.from(json)
  const member = memberOf(scanObject(bytes, 0, bytes.length, ANSWER_LIMITS), 'id')
  return member ? splice(bytes, member, Buffer.from(JSON.stringify(id))).toString() : json
}

function defaultMembers({ ownedBy, created }: EntryDefaults): Record<string, unknown> {
  return { object: 'model', created, owned_by: ownedBy }
}

interface ReadEntry {
  readonly id: string
  readonly members: readonly JsonMember[]
}

function* readEntry(answer: Buffer, element: JsonSpan): Steps<ReadEntry | undefined> {
  if (element.kind !== 'object') return undefined
  const members = yield* objectSteps(answer, element.start, element.end, ANSWER_LIMITS)
  const id = memberOf(members, 'id')
  if (id?.kind !== 'string') return undefined
  // A long one is not decoded: an escaped byte takes six.
  const end = Math.min(id.end, id.start + 6 * MAX_ID_BYTES + 3)
  const text = end < id.end ? answer.toString('latin1', id.start, end) : stringAt(answer, id)
  return text === '' ? undefined : { id: text, members }
}

/** The entry as it came, with what it leaves out; undefined where other clients could not read it. */
function completeEntry(
  answer: Buffer,
  { start, end }: JsonSpan,
  members: readonly JsonMember[],
  defaults: EntryDefaults,
): string | undefined {
  let json = ''
  let at = start
  let missing = ''
  const nulls: [JsonMember, string][] = []
  for (const [name, value] of Object.entries(defaultMembers(defaults))) {
    const member = memberOf(members, name)
    if (!member) missing += `,${JSON.stringify(name)}:${JSON.stringify(value)}`
    else if (member.kind === 'null') nulls.push([member, JSON.stringify(value)])
  }
  nulls.sort(([a], [b]) => a.start - b.start)
  for (const [member, value] of nulls) {
    json += answer.toString('utf8', at, member.start) + value
    at = member.end
  }
  json += `${answer.toString('utf8', at, end - 1)}${missing}}`
  return isPlainJson(json) ? json : undefined
}

/** Whether clients besides Python's can read it: Python writes NaN and infinities. */
function isPlainJson(json: string): boolean {
  if (!/NaN|Infinity/.test(json)) return true
  try {
    JSON.parse(json)
    return true
  } catch {
    return false
  }
}
