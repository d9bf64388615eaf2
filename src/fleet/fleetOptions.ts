import type { PolicyConstants } from './load/constants.ts'
import type { ProberOptions } from './probe.ts'
import type { NodeSource } from './sources/source.ts'

export interface FleetOptions extends Omit<ProberOptions, 'timeoutSeconds'> {
  readonly sources: readonly NodeSource[]
  /** Seconds between two polls of a node. */
  readonly refreshIntervalSeconds: number
  readonly constants?: PolicyConstants
  /** Most time one poll may take, seconds; default 3. */
  readonly pollTimeoutSeconds?: number
  /** Monotonic seconds. */
  readonly now?: () => number
}
