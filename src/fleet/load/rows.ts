/**
 * Numbers as which something learnt is kept, so that a later start of the gateway goes on from it. What each means is said where
 * they are made; times are seconds.
 */
export type Row = readonly number[]

/** A row as it was kept, by whomever: `undefined` unless it has so many numbers, all of them finite. */
export function rowOf(kept: unknown, length: number): Row | undefined {
  if (!Array.isArray(kept) || kept.length !== length) return undefined
  return kept.every((each) => Number.isFinite(each)) ? (kept as number[]) : undefined
}

/** What was learnt of one node. */
export interface KeptNode {
  /** See `ServiceTime.row`. */
  readonly service: Row
  /** Jobs at once that the service times were reckoned with. */
  readonly concurrency: number
  /** See `LearntConcurrency.row`. */
  readonly ends: Row | undefined
  /** See `NodeKinds.row`. */
  readonly usual: Row | undefined
  /** What its jobs of some kinds took; see `RunningMean.row`. */
  readonly kinds: readonly (readonly [name: string, mean: Row])[]
}

/** The same, so many seconds later. */
export function aged(kept: KeptNode, seconds: number): KeptNode {
  const [sum = 0, jobs = 0, age = 0, ownJobs = 0, ownAge = 0] = kept.service
  return { ...kept, service: [sum, jobs, age + seconds, ownJobs, ownAge + seconds] }
}
