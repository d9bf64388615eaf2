import type { TrackedNode } from '../../fleet/node.ts'
import type { WorkRequest } from '../workRequest.ts'
import type { Lease } from '../lease.ts'
import type { RunningCharge } from '../workMeter.ts'

/**
 * Why a request has no place now, though one may be had later.
 * - `full`: all that could take it have no place.
 * - `held`: one has a place, but it is worth waiting for another.
 * - `resting`: all that could take it rest after a pushback.
 */
export interface Obstacle {
  readonly why: 'full' | 'held' | 'resting'
  /** Others that ask for the same find no place either. */
  readonly isForAll: boolean
  /** `resting`: until one of them may be asked again, seconds. */
  readonly seconds: number
  /** A busy backend that has the beginning of its prompt in its cache. */
  readonly home: TrackedNode | undefined
}

/** What weighs when a better backend is busy. */
export interface Hold {
  /** Requests that wait beside this one. */
  readonly waiting: number
  /** Whether it has been held long enough. */
  readonly isOver: boolean
}

/** Gives places to requests. */
export interface Placer {
  /**
   * Takes a place at an open backend, or says why it is not to be had.
   *
   * @param charge counts the request, once its backend is chosen
   * @throws NoBackendAvailable where none could take it even if all had places
   */
  place(request: WorkRequest, hold: Hold, charge: (node: TrackedNode) => RunningCharge): Lease | Obstacle
}
