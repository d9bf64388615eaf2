import type { FleetLoad } from '../../fleet/load/fleetLoad.ts'
import type { WorkKind } from '../../fleet/load/kinds.ts'
import type { NodeLoad } from '../../fleet/load/nodeLoad.ts'

/** What selection asks of a node. */
export interface Candidate {
  readonly load: NodeLoad
}

export interface SelectionContext<T extends Candidate = Candidate> {
  /** Monotonic seconds. */
  readonly now: number
  readonly fleet: FleetLoad
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** The job's cost over the mean one; see `FleetLoad.costRatioOf`. */
  readonly costRatio?: number
  /** Its kind of work, where something was learnt of that. */
  readonly kind?: WorkKind | undefined
  /** Leaves candidates out, such as those that were tried. Cheaper than a filtered list, of which nothing is remembered. */
  readonly allows?: ((candidate: T) => boolean) | undefined
}

/** Chooses one of the candidates; undefined where none is allowed. Lists of more than a hundred should be the same
 * array from call to call while they hold the same nodes: what is known of a list is remembered with it. */
export type SelectNode = <T extends Candidate>(candidates: readonly T[], context: SelectionContext<T>) => T | undefined
