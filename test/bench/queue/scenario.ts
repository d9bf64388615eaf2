import type { ContenderName } from './contenders.ts'
import type { Figure } from './figures.ts'

/** What the command line asks for. */
export interface Options {
  /** Measured in each part of a scenario, after the warm-up. */
  readonly seconds: number
  readonly seeds: readonly number[]
  /** Those that take part and are installed. */
  readonly contenders: readonly ContenderName[]
}

interface Outcome {
  readonly figures: readonly Figure[]
  /** Share of the machine's processors that was busy in each part. */
  readonly cpu: readonly number[]
}

export interface Scenario {
  readonly name: string
  readonly title: string
  run(options: Options): Promise<Outcome>
}

/** Load before what is measured: the gateway learns how fast its engines are. */
export const WARM_UP_MS = 5000

export function among(options: Options, ...names: ContenderName[]): ContenderName[] {
  return names.filter((name) => options.contenders.includes(name))
}
