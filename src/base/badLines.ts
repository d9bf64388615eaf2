/** Settings that name a file of which lines may be skipped. */
export type ListSetting = 'IPS_FILE' | 'SERVICES_FILE' | 'KEYS_FILE'

/** A line, or an entry, that was skipped. */
export interface BadLine {
  /** Counted from 1; null where it is not known. */
  readonly line: number | null
  /** What stands there, cut and without secrets; null where it must not be shown, or the whole file is meant. */
  readonly entry: string | null
  /** What is wrong with it. */
  readonly reason: string
}

/** Lines that are kept of one file, and shown of all: a file of millions must not fill the memory or a page. */
const MOST_KEPT = 100
/** Longest text that is kept of a line, and longest reason, characters. */
const MOST_TEXT = 200
const MOST_REASON = 300

/** What was skipped in one reading of a file: the first lines, and the number of all. */
export class SkippedLines {
  readonly kept: BadLine[] = []
  total = 0

  /** Returns whether it is one of those that are kept. */
  add({ line, entry, reason }: BadLine): boolean {
    if (++this.total > MOST_KEPT) return false
    this.kept.push({ line, entry: entry?.slice(0, MOST_TEXT) ?? null, reason: reason.slice(0, MOST_REASON) })
    return true
  }
}

/** What is skipped of the files that the settings name, each as of its last reading: for `/stats` and `/metrics`. */
export class BadLines {
  readonly #files = new Map<ListSetting, SkippedLines>()

  /** Replaces what was known of this file. */
  set(setting: ListSetting, skipped: SkippedLines): void {
    this.#files.set(setting, skipped)
  }

  /** The first of them, of all files. */
  get list(): (BadLine & { readonly setting: ListSetting })[] {
    return [...this.#files]
      .flatMap(([setting, { kept }]) => kept.map((line) => ({ setting, ...line })))
      .slice(0, MOST_KEPT)
  }

  get total(): number {
    return this.counts.reduce((sum, [, count]) => sum + count, 0)
  }

  /** How many there are in each file that has been read. */
  get counts(): [ListSetting, number][] {
    return [...this.#files].map(([setting, { total }]) => [setting, total])
  }
}
