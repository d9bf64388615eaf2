import type { FleetLoad } from './fleetLoad.ts'
import type { Row } from './rows.ts'
import { ServedSeconds, type ServedMark } from './servedSeconds.ts'

/** Less than this of what was kept is as nothing, jobs. */
const LEAST_JOBS = 0.1
/** Jobs' worth of evidence from which on people are told that a node's own service time is known. */
const LEAST_EVIDENCE = 0.5

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

  /** What {@link seconds} is from, for people: jobs here, the mean of the fleet, or a default. */
  origin(now: number): 'learnt' | 'fleet' | 'default' {
    if (this.evidenceJobs(now) >= LEAST_EVIDENCE) return 'learnt'
    return this.#fleet.hasLearnt ? 'fleet' : 'default'
  }

  /** Jobs' worth of evidence that our own jobs gave and that has not faded yet. */
  ownEvidenceJobs(now: number): number {
    return this.#ownJobs === 0 ? 0 : this.#faded(this.#ownJobs, now - this.#lastOwnEndAt)
  }

  /** Seconds served, jobs ended, age of the last end; of our own jobs alone how many, and that age. Undefined until one has ended. */
  row(now: number): Row | undefined {
    if (this.#jobs === 0) return undefined
    const ownAge = this.#ownJobs === 0 ? 0 : now - this.#lastOwnEndAt
    return [this.#served.sum, this.#jobs, now - this.#lastEndAt, this.#ownJobs, ownAge]
  }

  /**
   * Goes on from what was kept `seconds` ago, which has faded since for good.
   *
   * @param ratio what the seconds served are multiplied with
   */
  takeUp(
    [sum = 0, jobs = 0, age = 0, ownJobs = 0, ownAge = 0]: Row,
    seconds: number,
    now: number,
    ratio: number,
  ): void {
    const most = this.#fleet.constants.serviceMemoryJobs
    const left = this.#faded(Math.min(jobs, most), Math.max(0, age) + seconds)
    if (!(jobs > 0 && sum > 0 && left >= LEAST_JOBS)) return
    this.#served.addOthers((sum / jobs) * left * ratio)
    this.#jobs = left
    this.#lastEndAt = now
    this.#ownJobs = this.#faded(Math.min(Math.max(0, ownJobs), most), Math.max(0, ownAge) + seconds)
    this.#lastOwnEndAt = now
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
