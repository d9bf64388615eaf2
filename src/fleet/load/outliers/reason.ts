import type { Counts } from './blame.ts'

interface Described {
  readonly counts: Counts
  readonly siblings: Counts
  readonly status: { readonly most: number; readonly isOnly: boolean } | undefined
}

/** Why a backend is set aside, for people: "answers 500 to 94 % where its siblings answer 1 %". */
export function describeOutlier({ counts, siblings, status }: Described): string {
  if (status === undefined) return 'answered worse than its siblings'
  const what = status.isOnly ? `${status.most}` : `${status.most} and the like`
  const own = `answers ${what} to ${percent(counts)}`
  return siblings.answers === 0 ? own : `${own} where its siblings answer ${percent(siblings)}`
}

/** Never rounded to all or nothing unless it is. */
function percent({ answers, refusals }: Counts): string {
  const exact = (100 * refusals) / Math.max(1, answers)
  if (refusals > 0 && exact < 1) return 'less than 1 %'
  const rounded = Math.round(exact)
  return `${rounded === 100 && refusals < answers ? 99 : rounded} %`
}
