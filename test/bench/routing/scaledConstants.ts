import { DEFAULT_CONSTANTS, type PolicyConstants } from '../../../src/fleet/load/constants.ts'

/** The same policy in a world whose time runs `factor` times as long: 0.1 for a benchmark at a tenth of real time. */
export function scaledBy(factor: number, constants: PolicyConstants = DEFAULT_CONSTANTS): PolicyConstants {
  const scaled = Object.entries(constants).map(([name, value]: [string, number]) => [
    name,
    name.endsWith('Seconds') ? value * factor : value,
  ])
  return Object.fromEntries(scaled) as PolicyConstants
}
