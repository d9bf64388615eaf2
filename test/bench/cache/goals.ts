import type { ContenderName } from './contenders.ts'
import type { RunResult } from './run.ts'
import type { WorkloadName } from './workloads.ts'

export interface Goal {
  readonly what: string
  readonly of: (result: RunResult) => number
  readonly against: ContenderName
  /** The gateway's figure over the other's is to be at most this. */
  readonly ratio: number
}

const meanSeconds = ({ meanSeconds }: RunResult): number => meanSeconds
const firstSeconds = ({ firstSeconds }: RunResult): number => firstSeconds

/** What is to be shown of a workload. */
export function goalsOf(workload: WorkloadName): Goal[] {
  const isOneOf = (...names: WorkloadName[]): boolean => names.includes(workload)
  const whole = { what: 'answer, mean', of: meanSeconds }
  const goals: Goal[] = [
    { ...whole, against: 'smg', ratio: isOneOf('shared', 'agents', 'hot') ? 0.6 : 0.9 },
    { what: 'first token, mean', of: firstSeconds, against: 'smg', ratio: isOneOf('agents') ? 0.5 : 1 },
  ]
  if (isOneOf('chats', 'agents')) goals.push({ ...whole, against: 'without index', ratio: 0.4 })
  return goals
}
