import type { Fleet } from '../fleet/fleet.ts'
import type { TrackedNode } from '../fleet/node.ts'
import type { WorkRequest } from './workRequest.ts'

/** A backend that has been unreachable for longer than this counts as down, not as restarting. Seconds. */
const RESTART_SECONDS = 5

/** Backends that take no connections since a moment ago, and those that take them again but do not count as healthy yet. */
export class Restarts {
  readonly #fleet: Fleet

  constructor(fleet: Fleet) {
    this.#fleet = fleet
  }

  /** Those that could take the request as soon as they are back. */
  awaited(request: WorkRequest): TrackedNode[] {
    const earliest = this.#fleet.now() - RESTART_SECONDS
    return this.#fitting(request).filter((node) => {
      const { failingSince } = node.contact
      if (failingSince === undefined || failingSince < earliest) return false
      return hasTried(request, node) || (node.isRefusing && !node.isReachable)
    })
  }

  /** One that is back; of several the one with the fewest open requests. */
  returned(request: WorkRequest): TrackedNode | undefined {
    const now = this.#fleet.now()
    const isBack = (node: TrackedNode): boolean =>
      !node.contact.isFailing &&
      node.cooldownSeconds(request.cooldownKey, now) === 0 &&
      (hasTried(request, node) || (!node.isReachable && isRecovering(node, now)))
    const [first, ...others] = this.#fitting(request).filter(isBack)
    return first && others.reduce((best, node) => (node.inFlight < best.inFlight ? node : best), first)
  }

  /** Those that the request may go to, also a second time where nothing was sent the first time. */
  #fitting({ asked: { requirement }, tried, unreached }: WorkRequest): TrackedNode[] {
    return [...this.#fleet.nodes.values()].filter(
      (node) =>
        (tried?.has(node) !== true || unreached?.has(node) === true) &&
        (requirement.isFollowUp === true || (!node.isDraining && node.notReady === undefined)) &&
        requirement.fits(node),
    )
  }
}

function hasTried({ tried }: WorkRequest, node: TrackedNode): boolean {
  return tried?.has(node) === true
}

/** Its last poll went well, and one more makes it healthy. */
function isRecovering(node: TrackedNode, now: number): boolean {
  return node.health.isWavering && now - node.refusedAt <= RESTART_SECONDS
}
