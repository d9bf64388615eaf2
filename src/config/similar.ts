import { variables, type Variable } from './schema.ts'

/** Variables that are read beside the settings: they name files of settings. */
export const FILE_VARIABLES = ['CONFIG_FILE', 'NODE_ENV'] as const

/** Names count in any case and with or without underscores. */
export const folded = (name: string): string => name.replaceAll('_', '').toLowerCase()

const known = [...variables, ...FILE_VARIABLES].map((variable) => ({ variable, text: folded(variable) }))

/** A name with more letters may have more of them wrong. */
const LONG_NAME = 8
/** Longer than every name that is close to a known one; longer ones are not looked at. */
const LONGEST_NAME = Math.max(...known.map(({ text }) => text.length)) + 2

/** The known name that an unknown one was probably meant to be: at most a letter or two apart. */
export function meantBy(name: string): Variable | (typeof FILE_VARIABLES)[number] | undefined {
  const asked = folded(name)
  if (asked.length > LONGEST_NAME) return undefined
  const [closest] = known
    .map(({ variable, text }) => ({ variable, text, edits: editsBetween(asked, text) }))
    .filter(({ text, edits }) => edits <= (text.length >= LONG_NAME ? 2 : 1))
    .sort((a, b) => a.edits - b.edits)
  return closest?.variable
}

/** Letters to insert, delete, replace or swap with their neighbour to turn one text into the other (optimal string alignment). */
function editsBetween(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1
      let least = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + same)
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (isSwap) least = Math.min(least, (beforeLast[j - 2] ?? 0) + 1)
      row.push(least)
    }
    beforeLast = last
    last = row
  }
  return last[b.length] ?? 0
}
