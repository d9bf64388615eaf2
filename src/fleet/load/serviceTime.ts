import type { FleetLoad } from './fleetLoad.ts'
import { ServedSeconds, type ServedMark } from './servedSeconds.ts'

/** Learns how many seconds of service a job takes on one node: seconds spent serving over jobs ended. A job of a kind
 * that costs twice the mean counts as two, so a node that gets the large jobs does not look slow. */
export class ServiceTime {
  readonly #fleet: FleetLoad
  readonly #served = new ServedSeconds()
  #jobs = 0
  #lastEndAt = -Infinity
  /** Those of the jobs that were our own. */
  #ownJobs = 0
  #lastOwnEndAt = -Infinity

  constructor(fleet: FleetLoad) {
    this.#fleet = fleet
  }

  /** Seconds of service per job as of `now`, drawn to the fleet's mean where the evidence is thin or old. */
  seconds(now: number): number {
    return this.secondsBy(this.evidenceJobs(now))
  }

  /** The same, given what {@link evidenceJobs} says. */
  secondsBy(evidenceJobs: number): number {
    const fleetSeconds = this.#fleet.serviceSeconds
    if (this.#jobs === 0) return fleetSeconds
    const prior = this.#fleet.constants.servicePriorJobs
    const learnt = (this.#served.sum + prior * fleetSeconds) / (this.#jobs + prior)
    return (evidenceJobs * learnt + prior * fleetSeconds) / (evidenceJobs + prior)
  }

  /** Jobs' worth of evidence that has not faded yet. */
  evidenceJobs(now: number): number {
    return this.#jobs === 0 ? 0 : this.#faded(this.#jobs, now - this.#lastEndAt)
  }

  /** Jobs' worth of evidence that our own jobs gave and that has not faded yet. */
  ownEvidenceJobs(now: number): number {
    return this.#ownJobs === 0 ? 0 : this.#faded(this.#ownJobs, now - this.#lastOwnEndAt)
  }

  /** Each of so many jobs of ours was served for so long. */
  served(seconds: number, jobs: number): void {
    this.#served.add(seconds, jobs)
    this.#fleet.busyFor(seconds * jobs)
  }

  /** Jobs that are not ours were served for so long in all. */
  servedOthers(seconds: number): void {
    this.#served.addOthers(seconds)
    this.#fleet.busyFor(seconds)
  }

  /** Takes back seconds in which nothing was served after all. */
  lagged(seconds: number): void {
    this.#fleet.busyFor(-this.#served.takeBack(seconds))
  }

  mark(): ServedMark {
    return this.#served.mark()
  }

  /** Whether the mark is of this very learning, not of one before the node came back. */
  knows(mark: ServedMark): boolean {
    return mark.of === this.#served
  }

  /** A job that began at the mark was not served. */
  notServed(mark: ServedMark): void {
    this.lagged(this.#served.since(mark))
  }

  /** All that was served is now known to have been so many times as long. */
  rescale(ratio: number): void {
    const before = this.#served.sum
    this.#served.rescale(ratio)
    this.#fleet.busyFor(this.#served.sum - before)
  }

  /** One of our own jobs was served to its end, which counts as so many mean jobs. */
  completed(now: number, weight = 1): void {
    this.#ownJobs += weight
    this.#lastOwnEndAt = now
    this.#count(now, weight)
  }

  /** So many jobs that were not our own must have ended. */
  completedUnseen(now: number, jobs: number): void {
    this.#count(now, jobs)
  }

  #count(now: number, jobs: number): void {
    this.#jobs += jobs
    this.#lastEndAt = now
    this.#fleet.completed(jobs)
    if (this.#jobs <= this.#fleet.constants.serviceMemoryJobs) return
    this.#jobs /= 2
    this.#ownJobs /= 2
    this.#served.halve()
  }

  #faded(jobs: number, seconds: number): number {
    return jobs * Math.exp(-seconds / this.#fleet.constants.serviceMemorySeconds)
  }
}
