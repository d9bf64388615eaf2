import { hash } from 'node:crypto'
import { PRIORITIES, type Priority } from '../../base/priority.ts'

/** The members that an entry may have. */
const MEMBERS = [
  ...['name', 'key', 'key_sha256', 'requests_per_min', 'tokens_per_min', 'max_jobs'],
  ...['weight', 'priority', 'expires'],
]

const MOST_REQUESTS = 1_000_000_000

/** What holds for all keys of one name. Undefined: what the settings say. */
export interface KeyRules {
  /** Forwarded requests a minute, in place of `PROXY_RATELIMIT_REQS_PER_MIN`; 0 is no limit. */
  readonly requestsPerMinute?: number | undefined
  readonly tokensPerMinute?: number | undefined
  /** Unfinished jobs, in place of `MAX_JOBS_PER_CALLER`; 0 is no limit. */
  readonly maxJobs?: number | undefined
  readonly weight?: number | undefined
  readonly priority?: Priority | undefined
}

/** One entry of the keys file. The key itself is not kept. */
export interface KeyEntry {
  readonly name: string
  /** SHA-256 of the key. */
  readonly digest: Buffer
  /** Epoch ms; `Infinity` where it never does. */
  readonly expiresAt: number
  readonly rules: KeyRules
}

/** Why an entry cannot be used; the text is for the operator and never has a key in it. */
export class KeyEntryError extends Error {}

type Members = Readonly<Record<string, unknown>>

/** Visible ASCII, which a header can carry as it is. */
const KEY = /^[\x21-\x7e]+$/
const NAME = /^[A-Za-z0-9._-]{1,64}$/
const DATE = /^(\d{4}-\d{2}-\d{2})(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2}))?$/

/**
 * Reads one entry of the keys file. Members that are null count as absent.
 *
 * @throws KeyEntryError naming the member and what is allowed, never a value that may be a key
 */
export function readKeyEntry(entry: unknown): KeyEntry {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) throw new KeyEntryError('not an object')
  const members: Members = Object.fromEntries(Object.entries(entry).filter(([, value]) => value !== null))
  // Its name is not repeated: a key may stand where a member's name belongs.
  if (Object.keys(entry).some((member) => !MEMBERS.includes(member)))
    throw new KeyEntryError(`unknown member; allowed: ${MEMBERS.join(', ')}`)
  return {
    name: nameOf(members),
    digest: digestOf(members),
    expiresAt: expiryOf(members),
    rules: {
      requestsPerMinute: wholeNumber(members, 'requests_per_min'),
      tokensPerMinute: wholeNumber(members, 'tokens_per_min'),
      maxJobs: wholeNumber(members, 'max_jobs'),
      weight: weightOf(members),
      priority: priorityOf(members),
    },
  }
}

/** The name of an entry, as far as it is one: what else stands there may be a key. */
export function nameIn(entry: unknown): string | undefined {
  const name = (entry as { name?: unknown } | null | undefined)?.name
  return typeof name === 'string' && NAME.test(name) ? name : undefined
}

function nameOf(members: Members): string {
  const name = nameIn(members)
  if (name === undefined) throw new KeyEntryError('name must be 1 to 64 letters, digits, dots, hyphens or underscores')
  return name
}

function digestOf({ key, key_sha256: digest }: Members): Buffer {
  if ((key === undefined) === (digest === undefined)) throw new KeyEntryError('either key or key_sha256 is needed')
  if (digest !== undefined) {
    if (typeof digest !== 'string' || !/^[0-9a-f]{64}$/i.test(digest))
      throw new KeyEntryError('key_sha256 must be 64 hexadecimal digits')
    return Buffer.from(digest, 'hex')
  }
  if (typeof key !== 'string' || !KEY.test(key))
    throw new KeyEntryError('key must be a string of visible ASCII characters')
  // As in the services file it would be meant as a variable, and anybody could send it.
  if (/^\$\{.*\}$/.test(key)) throw new KeyEntryError('key must be the key itself: variables are not read here')
  return hash('sha256', key, 'buffer')
}

function expiryOf({ expires }: Members): number {
  if (expires === undefined) return Infinity
  const [text, day] = (typeof expires === 'string' && DATE.exec(expires)) || []
  const time = text === undefined ? NaN : Date.parse(text)
  // Some engines read 30 February as 2 March.
  if (Number.isNaN(time) || new Date(`${day}T00:00:00Z`).toISOString().slice(0, 10) !== day)
    throw new KeyEntryError('expires must be a date such as "2027-01-31" or "2027-01-31T18:00:00Z"')
  return time
}

function wholeNumber(members: Members, name: string): number | undefined {
  const value = members[name]
  if (value === undefined) return undefined
  if (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MOST_REQUESTS) return value as number
  throw new KeyEntryError(`${name} must be a whole number from 0 to ${MOST_REQUESTS}; 0 is no limit`)
}

function weightOf({ weight }: Members): number | undefined {
  if (weight === undefined) return undefined
  if (typeof weight === 'number' && weight > 0 && Number.isFinite(weight)) return weight
  throw new KeyEntryError('weight must be a number > 0')
}

function priorityOf({ priority }: Members): KeyRules['priority'] {
  const known = PRIORITIES.find((one) => one === priority)
  if (priority !== undefined && known === undefined)
    throw new KeyEntryError(`priority must be one of ${PRIORITIES.map((one) => `"${one}"`).join(', ')}`)
  return known
}
