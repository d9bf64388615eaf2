/** What is read here of what one process counted of the last minutes: lists by period, the oldest first. */
export interface Activity {
  readonly period_seconds: number
  /** Number of the last period, by a clock that all processes of the machine share. */
  readonly newest: number
  readonly newest_seconds: number
  readonly counted_seconds: number
  readonly counts: Readonly<Record<string, readonly number[]>>
  readonly faults: Readonly<Record<string, readonly number[]>>
  readonly latencies: readonly (readonly number[])[]
}

/** The counts of several processes, period by period. One that was asked earlier, or hangs, tells of earlier periods. */
export function sumActivity(all: readonly Activity[]): Activity {
  const newest = Math.max(...all.map((one) => one.newest))
  const latest = all.filter((one) => one.newest === newest)
  const sumOf = (listOf: (one: Activity) => readonly number[] | undefined): readonly number[] =>
    all.map((one) => shifted(listOf(one) ?? [], newest - one.newest, 0)).reduce(addLists)
  const sumsOf = (member: 'counts' | 'faults'): Record<string, readonly number[]> => {
    const names = new Set(all.flatMap((one) => Object.keys(one[member])))
    return Object.fromEntries([...names].map((name) => [name, sumOf((one) => one[member][name])]))
  }
  return {
    period_seconds: all[0]!.period_seconds,
    newest,
    newest_seconds: Math.max(...latest.map((one) => one.newest_seconds)),
    counted_seconds: Math.max(...all.map((one) => one.counted_seconds)),
    counts: sumsOf('counts'),
    faults: sumsOf('faults'),
    latencies: all
      .map((one) => shifted(one.latencies, newest - one.newest, []))
      .reduce((sums, list) => sums.map((buckets, period) => addLists(buckets, list[period] ?? []))),
  }
}

/** Sums of two lists, place by place. */
export function addLists(one: readonly number[], other: readonly number[]): number[] {
  const [longer, shorter] = one.length >= other.length ? [one, other] : [other, one]
  return longer.map((value, index) => value + (shorter[index] ?? 0))
}

/** A list as of some periods later. */
function shifted<T>(list: readonly T[], periods: number, nothing: T): readonly T[] {
  if (periods === 0) return list
  const kept = list.slice(periods)
  return [...kept, ...new Array<T>(list.length - kept.length).fill(nothing)]
}
