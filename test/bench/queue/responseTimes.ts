import type { Sent } from './client.ts'
import type { ContenderName } from './contenders.ts'
import type { Figure, Goal } from './figures.ts'
import { mean, quantile } from './statistics.ts'

/** Response times of one run, ms. */
export interface Times {
  readonly meanMs: number
  readonly p99Ms: number
  readonly failures: number
}

export function timesOf(sent: readonly Sent[]): Times {
  const times = sent.filter(({ end }) => end === 'answered').map(({ at, endAt }) => endAt - at)
  return { meanMs: mean(times), p99Ms: quantile(times, 0.99), failures: sent.length - times.length }
}

/** Runs with one seed each; contenders of one run got the same requests at the same time. */
export type Rounds = readonly ReadonlyMap<ContenderName, Times>[]

/** The same gateway without its queue. */
const WITHOUT: Partial<Record<ContenderName, ContenderName>> = {
  gateway: 'no queue',
  metrics: 'metrics, no queue',
  smg: 'no queue',
}

export interface RatioGoals {
  readonly mean?: Goal
  readonly p99?: Goal
}

/** Mean and p99 compared with the gateway without a queue: the geometric mean of the rounds' ratios, and how far they differ. */
export function ratioFigures(scenario: string, rounds: Rounds, goals: RatioGoals = {}): Figure[] {
  const of = (name: ContenderName, value: (times: Times) => number): number =>
    mean(rounds.map((round) => value(round.get(name)!)))
  const names = [...rounds[0]!.keys()]
  const absolute = (what: string, value: (times: Times) => number): Figure => ({
    ...{ scenario, what, digits: 0, values: Object.fromEntries(names.map((name) => [name, of(name, value)])) },
  })
  const failures: Figure = { ...absolute('failures', (times) => times.failures), goal: { most: 0 } }
  return [
    ratioFigure({ scenario, what: 'mean', goal: goals.mean, value: ({ meanMs }) => meanMs }, rounds),
    ratioFigure({ scenario, what: 'p99', goal: goals.p99, value: ({ p99Ms }) => p99Ms }, rounds),
    absolute('mean, ms', ({ meanMs }) => meanMs),
    absolute('p99, ms', ({ p99Ms }) => p99Ms),
    failures,
  ]
}

interface Ratio {
  readonly scenario: string
  readonly what: string
  readonly goal: Goal | undefined
  readonly value: (times: Times) => number
}

function ratioFigure({ scenario, what, goal, value }: Ratio, rounds: Rounds): Figure {
  const values: Partial<Record<ContenderName, number>> = {}
  let spread: readonly [number, number] | undefined
  for (const name of rounds[0]!.keys()) {
    const without = WITHOUT[name]
    if (without === undefined || !rounds[0]!.has(without)) continue
    const ratios = rounds.map((round) => value(round.get(name)!) / value(round.get(without)!))
    values[name] = Math.exp(mean(ratios.map(Math.log)))
    if (name === 'gateway' && ratios.length > 1) spread = [Math.min(...ratios), Math.max(...ratios)]
  }
  return {
    ...{ scenario, what: `${what}, × no queue`, values, digits: 3 },
    ...(goal && { goal, goalOf: ['gateway', 'metrics'] as const }),
    ...(spread && { spread }),
  }
}
