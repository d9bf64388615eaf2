import { DEFAULT_CONSTANTS, type PolicyConstants } from './constants.ts'
import { WorkKinds, type WorkKind } from './kinds.ts'
import type { Row } from './rows.ts'
import { RunningMean } from './runningMean.ts'

/** Observations over which the fleet's mean latency and mean cost are taken. */
const MEAN_MEMORY = 1000

/** Whatever is hinted, a job counts as at least and at most so many mean ones: its node must stay in reach, and be seen to have it. */
const SMALLEST_COST_RATIO = 0.1
const LARGEST_COST_RATIO = 100
/** Where no cost was seen yet: so many of one, which is what a job costs of which nothing is said. */
const COSTS_TO_BEGIN_WITH = 4

/** What the nodes of a fleet know together: how long a job takes on the mean, and what a job costs on the mean. */
export class FleetLoad {
  readonly constants: PolicyConstants
  /** What was learnt of kinds of work. */
  readonly kinds: WorkKinds
  readonly #latency = new RunningMean(MEAN_MEMORY)
  #costs = COSTS_TO_BEGIN_WITH
  #meanCost = 1
  readonly #forgetting: number
  #busySeconds = 0
  #jobs = 0

  constructor(constants: PolicyConstants = DEFAULT_CONSTANTS) {
    this.constants = constants
    this.kinds = new WorkKinds(constants)
    this.#forgetting = 1 - 1 / constants.fleetMemoryJobs
  }

  /** Whether any job has taught how long one takes. */
  get hasLearnt(): boolean {
    return this.#jobs > 0 && this.#busySeconds > 0
  }

  /** Mean seconds of service per job (`sf`) over about the last 2,000 completions. */
  get serviceSeconds(): number {
    if (!this.hasLearnt) return this.constants.firstServiceSeconds
    return this.#busySeconds / this.#jobs
  }

  /** Mean seconds that a request takes as the gateway sees it; the service time until one was seen. */
  get meanLatencySeconds(): number {
    return this.#latency.value ?? this.serviceSeconds
  }

  /** Seconds of service and jobs of the mean service time, as it is kept; undefined until a job has ended. */
  get row(): Row | undefined {
    return this.#jobs > 0 && this.#busySeconds > 0 ? [this.#busySeconds, this.#jobs] : undefined
  }

  /** Goes on from what was kept, which counts for `weight` (0 to 1) of what it did. Too little is as nothing. */
  takeUp([busySeconds = 0, jobs = 0]: Row, weight: number): void {
    const left = Math.min(jobs, this.constants.fleetMemoryJobs) * weight
    if (!(left >= this.constants.servicePriorJobs && busySeconds > 0)) return
    this.#busySeconds = (busySeconds / jobs) * left
    this.#jobs = left
  }

  /** Seconds of service given (or, where negative, taken back) on any node. */
  busyFor(seconds: number): void {
    this.#busySeconds += seconds
  }

  /** Ends of jobs on any node, in mean jobs. The memory is exponential: each end forgets one in 2,000 of what was. */
  completed(jobs: number): void {
    const kept = jobs === 1 ? this.#forgetting : this.#forgetting ** jobs
    this.#busySeconds *= kept
    this.#jobs = this.#jobs * kept + jobs
  }

  latencyObserved(seconds: number): void {
    this.#latency.add(seconds)
  }

  /** What a job costs over the mean one: by its client's hint where there is one, else by its kind of work. */
  costRatioOf(cost: number | undefined, kind: WorkKind | undefined): number {
    return cost === undefined ? (kind?.weight ?? 1) : this.costRatio(cost)
  }

  /** A job's cost over the mean one, itself included, so that one absurd cost among few does not drown all others. */
  costRatio(cost: number): number {
    const bounded = Math.min(cost, this.#meanCost * LARGEST_COST_RATIO)
    this.#costs = Math.min(this.#costs + 1, MEAN_MEMORY)
    this.#meanCost += (bounded - this.#meanCost) / this.#costs
    return Math.min(Math.max(bounded / this.#meanCost, SMALLEST_COST_RATIO), LARGEST_COST_RATIO)
  }
}
