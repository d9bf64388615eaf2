import type { ContenderName } from './contenders.ts'

/** What a figure is to be, in its own unit. */
export type Goal =
  { readonly most: number } | { readonly least: number } | { readonly within: readonly [number, number] }

/** One line of the table: the same quantity of every contender. */
export interface Figure {
  readonly scenario: string
  readonly what: string
  readonly values: Readonly<Partial<Record<ContenderName, number>>>
  /** For the contenders named in `goalOf`, by default the gateway. */
  readonly goal?: Goal
  readonly goalOf?: readonly ContenderName[]
  /** Least and greatest value of the gateway's over the seeds. */
  readonly spread?: readonly [number, number]
  readonly digits?: number
}

export function isMet(goal: Goal, value: number): boolean {
  if ('most' in goal) return value <= goal.most
  if ('least' in goal) return value >= goal.least
  return value >= goal.within[0] && value <= goal.within[1]
}

export function goalText(goal: Goal): string {
  if ('most' in goal) return `≤ ${goal.most}`
  if ('least' in goal) return `≥ ${goal.least}`
  return `${goal.within[0]} to ${goal.within[1]}`
}

/** One value for each contender that was measured. */
export function valuesOf<T>(
  results: ReadonlyMap<ContenderName, T>,
  value: (result: T, name: ContenderName) => number,
): Partial<Record<ContenderName, number>> {
  return Object.fromEntries([...results].map(([name, result]) => [name, value(result, name)]))
}
