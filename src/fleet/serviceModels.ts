import { minimalEntry, renamedEntry, type EntryDefaults, type ModelEntry } from './modelList.ts'

/** In an operator's list of models: any model. */
const ANY_MODEL = '*'
/** The tag that a name without one stands for. */
const LATEST = ':latest'

/** What an operator says of a service's models. */
export interface ModelRules {
  readonly models?: readonly string[]
  readonly aliases?: Readonly<Record<string, string>>
}

/** The models of one service by every name that clients may use: what it lists, what its operator names instead, and aliases. */
export class ServiceModels {
  /** Entries for clients' lists by the name that clients use, in JSON. */
  readonly entries: ReadonlyMap<string, string>
  /** Whether it accepts any model name: `"*"` is among its models. */
  readonly takesAny: boolean
  /** Whether all its names are known: the operator has given them, or a poll has brought its list. */
  readonly isComplete: boolean
  readonly #reported: readonly ModelEntry[] | undefined
  readonly #aliases: ReadonlyMap<string, string>
  readonly #defaults: EntryDefaults

  /** `reported`: what the service lists itself; `undefined` before its list was read, and where it has none. */
  constructor(rules: ModelRules, defaults: EntryDefaults, reported?: readonly ModelEntry[]) {
    this.#reported = reported
    this.#defaults = defaults
    this.#aliases = new Map(Object.entries(rules.aliases ?? {}))
    this.takesAny = rules.models?.includes(ANY_MODEL) === true
    this.isComplete = reported !== undefined || rules.models !== undefined
    this.entries = this.#entriesBy(rules)
  }

  /** The same service under other rules. */
  under(rules: ModelRules): ServiceModels {
    return new ServiceModels(rules, this.#defaults, this.#reported)
  }

  /** The same service with what it lists now; this very object where that is what it listed before. */
  reporting(rules: ModelRules, reported: readonly ModelEntry[] | undefined): ServiceModels {
    return sameEntries(this.#reported, reported) ? this : new ServiceModels(rules, this.#defaults, reported)
  }

  /** Whether the same names are known in both. */
  hasSameNames({ entries, takesAny, isComplete }: ServiceModels): boolean {
    if (takesAny !== this.takesAny || isComplete !== this.isComplete || entries.size !== this.entries.size) return false
    for (const name of entries.keys()) if (!this.entries.has(name)) return false
    return true
  }

  /** The names, for people. */
  get names(): string[] {
    return [...(this.takesAny ? [ANY_MODEL] : []), ...this.entries.keys()]
  }

  /** Whether this model is listed, or named by the operator. */
  has(asked: string): boolean {
    return this.#namedAs(asked) !== undefined
  }

  /** The service's own name for the model that a client asks for; `undefined` where it does not have it. */
  nameFor(asked: string): string | undefined {
    return this.#namedAs(asked) ?? (this.takesAny ? asked : undefined)
  }

  /** The exact name first; a name without a tag is also `name:latest`. */
  #namedAs(asked: string): string | undefined {
    return this.#exactly(asked) ?? (hasTag(asked) ? undefined : this.#exactly(asked + LATEST))
  }

  #exactly(asked: string): string | undefined {
    if (this.#aliases.size > 0) {
      const target = this.#aliases.get(asked)
      if (target !== undefined) return target
    }
    return this.entries.has(asked) ? asked : undefined
  }

  #entriesBy({ models }: ModelRules): Map<string, string> {
    const reported = new Map(this.#reported?.map(({ id, json }) => [id, json]))
    const names = models && !this.takesAny ? models : [...reported.keys(), ...(models ?? [])]
    const entries = new Map<string, string>()
    for (const name of names) {
      if (name !== ANY_MODEL) entries.set(name, reported.get(name) ?? minimalEntry(name, this.#defaults))
    }
    for (const [alias, target] of this.#aliases) {
      const json = entries.get(target)
      entries.set(alias, json === undefined ? minimalEntry(alias, this.#defaults) : renamedEntry(json, alias))
    }
    return entries
  }
}

/** The names under which clients may mean an entry of a list: the exact one, then, without a tag, `name:latest`. */
export function namesOf(asked: string): readonly string[] {
  return hasTag(asked) ? [asked] : [asked, asked + LATEST]
}

/** A colon in the last segment of the path: `registry:5000/name` has none. */
function hasTag(name: string): boolean {
  return name.includes(':', name.lastIndexOf('/') + 1)
}

function sameEntries(a: readonly ModelEntry[] | undefined, b: readonly ModelEntry[] | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  return a.length === b.length && a.every(({ id, json }, index) => id === b[index]?.id && json === b[index].json)
}
