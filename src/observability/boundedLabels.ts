/** Longest value of a label, characters: each stands in dozens of lines. */
const MAX_LABEL_LENGTH = 100

/** What stands for all values that have no label of their own. */
export const OTHER = 'other'

/** A label's value, cut to a bearable length. */
export function shortLabel(value: string): string {
  return value.length > MAX_LABEL_LENGTH ? `${value.slice(0, MAX_LABEL_LENGTH)}…` : value
}

/** A bounded number of values as they are, in the order in which they came, and all others as one. */
export class BoundedLabels {
  readonly #known = new Set<string>()
  readonly #most: number

  constructor(most: number) {
    this.#most = most
  }

  of(text: string): string {
    const value = shortLabel(text)
    if (this.#known.has(value)) return value
    if (this.#known.size >= this.#most) return OTHER
    this.#known.add(value)
    return value
  }
}
