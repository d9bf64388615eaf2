import { FailureLevel } from './failureLevel.ts'
import type { FleetLoad } from './fleetLoad.ts'
import { Suspicion } from './suspicion.ts'

/** What stands against a node, and makes it dearer than its load alone: failures of late, and that it may be a black hole. */
export class Penalties {
  readonly failures: FailureLevel
  readonly suspicion: Suspicion
  readonly #fleet: FleetLoad

  constructor(fleet: FleetLoad) {
    this.#fleet = fleet
    this.failures = new FailureLevel(fleet.constants)
    this.suspicion = new Suspicion(fleet.constants)
  }

  /** What `cost` becomes with that, both seconds. */
  on(cost: number, now: number): number {
    const fleet = this.#fleet
    const { failurePenaltyLatencies, suspicionPenaltyRatio } = fleet.constants
    const level = this.failures.value(now)
    const seconds = level > 0 ? cost + failurePenaltyLatencies * level * fleet.meanLatencySeconds : cost
    if (!this.suspicion.isBlackHole(now)) return seconds
    return (seconds + fleet.meanLatencySeconds) * suspicionPenaltyRatio
  }
}
