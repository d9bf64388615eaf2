import { DEFAULT_CONSTANTS, type PolicyConstants } from './constants.ts'
import { RunningMean } from './runningMean.ts'

/** Observations over which the fleet's mean latency and mean cost are taken. */
const MEAN_MEMORY = 1000

/** A hint counts for the mean with at most so many times the mean. */
const LARGEST_COST_RATIO = 100

/** What the nodes of a fleet know together: how long a job takes on the mean, and what a job costs on the mean. */
export class FleetLoad {
  readonly constants: PolicyConstants
  readonly #latency = new RunningMean(MEAN_MEMORY)
  readonly #cost = new RunningMean(MEAN_MEMORY)
  readonly #forgetting: number
  #busySeconds = 0
  #jobs = 0

  constructor(constants: PolicyConstants = DEFAULT_CONSTANTS) {
    this.constants = constants
    this.#forgetting = 1 - 1 / constants.fleetMemoryJobs
  }

  /** Mean seconds of service per job (`sf`) over about the last 2,000 completions. */
  get serviceSeconds(): number {
    if (this.#jobs <= 0 || this.#busySeconds <= 0) return this.constants.firstServiceSeconds
    return this.#busySeconds / this.#jobs
  }

  /** Mean seconds that a request takes as the gateway sees it; the service time until one was seen. */
  get meanLatencySeconds(): number {
    return this.#latency.value ?? this.serviceSeconds
  }

  /** Seconds of service given (or, where negative, taken back) on any node. */
  busyFor(seconds: number): void {
    this.#busySeconds += seconds
  }

  /** Ends of jobs on any node. The memory is exponential: each end forgets one in 2,000 of what was. */
  completed(jobs: number): void {
    const kept = jobs === 1 ? this.#forgetting : this.#forgetting ** jobs
    this.#busySeconds *= kept
    this.#jobs = this.#jobs * kept + jobs
  }

  latencyObserved(seconds: number): void {
    this.#latency.add(seconds)
  }

  /** A hinted cost over the mean of those before it (1 for the first one), which it then counts in. */
  costRatio(cost: number): number {
    const mean = this.#cost.value ?? cost
    const ratio = cost / mean
    // One absurd hint must not drown all others.
    this.#cost.add(Math.min(cost, mean * LARGEST_COST_RATIO))
    return ratio
  }
}
