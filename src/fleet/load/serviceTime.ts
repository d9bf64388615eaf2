import type { FleetLoad } from './fleetLoad.ts'

/** Learns how many seconds of service a job takes on one node: seconds spent serving over jobs ended. */
export class ServiceTime {
  readonly #fleet: FleetLoad
  #busySeconds = 0
  #jobs = 0
  #lastEndAt = -Infinity

  constructor(fleet: FleetLoad) {
    this.#fleet = fleet
  }

  /** Jobs' worth of evidence that is left at `now`: it fades while no job ends. */
  evidenceJobs(now: number): number {
    if (this.#jobs === 0) return 0
    return this.#jobs * Math.exp((this.#lastEndAt - now) / this.#fleet.constants.serviceMemorySeconds)
  }

  /** Seconds of service per job as of `now`, drawn to the fleet's mean where the evidence is thin or old. */
  seconds(now: number): number {
    const fleetSeconds = this.#fleet.serviceSeconds
    if (this.#jobs === 0) return fleetSeconds
    const prior = this.#fleet.constants.servicePriorJobs
    const learnt = (this.#busySeconds + prior * fleetSeconds) / (this.#jobs + prior)
    const evidence = this.evidenceJobs(now)
    return (evidence * learnt + prior * fleetSeconds) / (evidence + prior)
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

  completed(now: number, jobs = 1): void {
    this.#jobs += jobs
    this.#lastEndAt = now
    this.#fleet.completed(jobs)
    if (this.#jobs > this.#fleet.constants.serviceMemoryJobs) {
      this.#jobs /= 2
      this.#busySeconds /= 2
    }
  }
}
