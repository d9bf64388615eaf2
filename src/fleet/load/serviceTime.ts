import type { FleetLoad } from './fleetLoad.ts'

/** Learns how many seconds of service a job takes on one node: seconds spent serving over jobs ended. */
export class ServiceTime {
  readonly #fleet: FleetLoad
  #busySeconds = 0
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
    const fleetSeconds = this.#fleet.serviceSeconds
    if (this.#jobs === 0) return fleetSeconds
    const prior = this.#fleet.constants.servicePriorJobs
    const learnt = (this.#busySeconds + prior * fleetSeconds) / (this.#jobs + prior)
    const evidence = this.#faded(this.#jobs, now - this.#lastEndAt)
    return (evidence * learnt + prior * fleetSeconds) / (evidence + prior)
  }

  /** Jobs' worth of evidence that our own jobs gave and that has not faded yet. */
  ownEvidenceJobs(now: number): number {
    return this.#ownJobs === 0 ? 0 : this.#faded(this.#ownJobs, now - this.#lastOwnEndAt)
  }

  busyFor(seconds: number): void {
    this.#busySeconds += seconds
    this.#fleet.busyFor(seconds)
  }

  /** Takes back what {@link busyFor} was told of time in which nothing was served after all. */
  notBusyFor(seconds: number): void {
    const taken = Math.min(seconds, this.#busySeconds)
    this.#busySeconds -= taken
    this.#fleet.busyFor(-taken)
  }

  /** One of our own jobs was served to its end. */
  completed(now: number): void {
    this.#ownJobs++
    this.#lastOwnEndAt = now
    this.#count(now, 1)
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
    this.#busySeconds /= 2
  }

  #faded(jobs: number, seconds: number): number {
    return jobs * Math.exp(-seconds / this.#fleet.constants.serviceMemorySeconds)
  }
}
