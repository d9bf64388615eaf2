import type { Fleet } from '../fleet/fleet.ts'
import type { TrackedNode } from '../fleet/node.ts'
import type { WorkRequest } from './workRequest.ts'

/** A backend that counts as down may be tried again for this long after it last refused a connection, once a poll goes well. Seconds. */
const RECOVERY_SECONDS = 5

/**
 * Backends that are away since a moment ago, and those that are back but do not count as healthy yet. Away is a backend that takes no
 * connections, or is unhealthy for another reason that its next polls can mend; not one that is drained, or has reported that it is not
 * ready.
 */
export class Restarts {
  /** For how long a backend is waited for, from when it went away: then it counts as down. Seconds; 0: not at all. */
  readonly outageWaitSeconds: number
  readonly #fleet: Fleet

  constructor(fleet: Fleet, outageWaitSeconds: number) {
    this.#fleet = fleet
    this.outageWaitSeconds = outageWaitSeconds
  }

  /** Those that could take the request as soon as they are back. */
  awaited(request: WorkRequest): TrackedNode[] {
    const earliest = this.#fleet.now() - this.outageWaitSeconds
    return this.#fitting(request).filter((node) => {
      const since = awaySince(node)
      if (since === undefined || since < earliest) return false
      return hasTried(request, node) || !node.isReachable
    })
  }

  /** One that is back; of several the one with the fewest open requests. */
  returned(request: WorkRequest): TrackedNode | undefined {
    const now = this.#fleet.now()
    const isBack = (node: TrackedNode): boolean =>
      !node.contact.isFailing &&
      node.cooldownSeconds(request.cooldownKey, now) === 0 &&
      (hasTried(request, node) || (!node.isReachable && this.#isRecovering(node, now)))
    const [first, ...others] = this.#fitting(request).filter(isBack)
    return first && others.reduce((best, node) => (node.inFlight < best.inFlight ? node : best), first)
  }

  /**
   * Waits until one of those that are away is back, at most this long. Returns whether it is worth asking for a place again.
   *
   * @throws the signal's reason
   */
  async untilReturned(request: WorkRequest, seconds: number, signal: AbortSignal): Promise<boolean> {
    if (this.returned(request)) return true
    const nodes = this.awaited(request)
    return nodes.length > 0 && seconds > 0 && (await this.#fleet.returns.wait(nodes, seconds, signal))
  }

  /** Its last poll went well, and one more makes it healthy. */
  #isRecovering({ health, refusedAt, downSince = -Infinity }: TrackedNode, now: number): boolean {
    return health.isWavering && (now - refusedAt <= RECOVERY_SECONDS || now - downSince <= this.outageWaitSeconds)
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

/** Since when nothing answers there, or its polls fail; monotonic seconds, undefined where neither is so. */
function awaySince({ contact: { failingSince }, downSince }: TrackedNode): number | undefined {
  if (failingSince === undefined || downSince === undefined) return failingSince ?? downSince
  return Math.min(failingSince, downSince)
}

function hasTried({ tried }: WorkRequest, node: TrackedNode): boolean {
  return tried?.has(node) === true
}
