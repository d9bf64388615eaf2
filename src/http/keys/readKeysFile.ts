import { SkippedLines } from '../../base/badLines.ts'
import { readListText } from '../../json/listText.ts'
import { type KeyEntry, KeyEntryError, type KeyRules, nameIn, readKeyEntry } from './keyEntry.ts'

/** What a keys file says. */
export interface KeysOfFile {
  /** Undefined where the text is no JSON array. */
  readonly keys: readonly KeyEntry[] | undefined
  /** Entries that are skipped, or of which a part is. Never with a key. */
  readonly skipped: SkippedLines
}

const EXPECTED = 'a JSON array of keys, such as [{"name": "team-a", "key_sha256": "…"}]'

const RULE_MEMBERS = {
  requestsPerMinute: 'requests_per_min',
  tokensPerMinute: 'tokens_per_min',
  maxJobs: 'max_jobs',
  weight: 'weight',
  priority: 'priority',
} as const satisfies Record<keyof KeyRules, string>

/**
 * Reads a keys file: its usable entries, with the rules of their name, and what is wrong with the others.
 *
 * The rules belong to the name: each is taken from the first of its entries that states it. A later one that states another is
 * reported, and its key is valid all the same: a slip while a key is rotated must not lock its users out.
 */
export function readKeysFile(text: string): KeysOfFile {
  const skipped = new SkippedLines()
  const list = readListText(text, EXPECTED, skipped)
  if (!list) return { keys: undefined, skipped }
  const keys: KeyEntry[] = []
  const rulesOf = new Map<string, KeyRules>()
  const entryWith = new Map<string, number>()
  list.entries.forEach((value, index) => {
    const report = (reason: string): void =>
      void skipped.add({ line: list.lineOf(index), entry: nameIn(value) ?? `entry ${index + 1}`, reason })
    const key = readOne(value, report)
    if (!key) return
    const hex = key.digest.toString('hex')
    const first = entryWith.get(hex)
    if (first !== undefined) return report(`the key is that of entry ${first} already`)
    entryWith.set(hex, index + 1)
    keys.push(key)
    rulesOf.set(key.name, merged(rulesOf.get(key.name) ?? {}, key.rules, report))
  })
  return { keys: keys.map((key) => ({ ...key, rules: rulesOf.get(key.name)! })), skipped }
}

function readOne(value: unknown, report: (reason: string) => void): KeyEntry | undefined {
  try {
    return readKeyEntry(value)
  } catch (error) {
    if (!(error instanceof KeyEntryError)) throw error
    report(error.message)
    return undefined
  }
}

function merged(first: KeyRules, later: KeyRules, report: (reason: string) => void): KeyRules {
  for (const [rule, member] of Object.entries(RULE_MEMBERS) as [keyof KeyRules, string][]) {
    const [stands, given] = [first[rule], later[rule]]
    if (stands !== undefined && given !== undefined && stands !== given)
      report(`${member} is ${given} here and ${stands} in an earlier entry of this name, which counts`)
  }
  const stated = Object.fromEntries(Object.entries(first).filter(([, value]) => value !== undefined))
  return { ...later, ...stated }
}
