import type { PolicyConstants } from './constants.ts'

/** The least load that the share of a job in the node is reckoned with. */
const LEAST_LOAD = 0.3

/** Jobs on a node that the gateway does not see (X): of two-step clients, other clients, other gateways, the chain. */
export class UnseenLoad {
  /** X, as of the last call of any method. */
  jobs = 0
  /** Its steady part (Xbar), towards which it returns between polls. */
  steadyJobs = 0
  /** The steady part before it is cut at zero: overestimates must be able to cancel out. */
  #rawSteadyJobs = 0

  /** True where the load does not change by itself. */
  get isSteady(): boolean {
    return this.jobs === this.steadyJobs
  }

  /** Jobs there, `own` ones of ours among them; never so few that a share in the node becomes meaningless. */
  loadWith(own: number): number {
    return Math.max(own + this.jobs, LEAST_LOAD)
  }

  /** X after `seconds` beside `own` jobs of ours: a fluid that drains towards its steady part.
   * While more jobs are there than can run, the node works off `concurrency / serviceSeconds` a second, of which the
   * unseen ones get their share; after that each runs and ends with the time constant of one service. */
  jobsAfter(seconds: number, own: number, serviceSeconds: number, concurrency: number): number {
    const { jobs, steadyJobs } = this
    let excess = jobs - steadyJobs
    if (excess === 0) return jobs
    let left = seconds
    const load = own + jobs
    if (excess > 0 && load > concurrency) {
      const queuedSeconds = ((load - concurrency) * serviceSeconds) / concurrency
      if (left <= queuedSeconds) return steadyJobs + excess * (1 - (concurrency * left) / (serviceSeconds * load))
      excess *= concurrency / load
      left -= queuedSeconds
    }
    return steadyJobs + excess * Math.exp(-left / serviceSeconds)
  }

  drain(seconds: number, own: number, serviceSeconds: number, concurrency: number): void {
    this.jobs = this.jobsAfter(seconds, own, serviceSeconds, concurrency)
  }

  /** A client was sent there: count its job at once, for others will ask before the next poll. */
  expect(jobs: number): void {
    this.jobs += jobs
  }

  /** A poll `seconds` after the one before showed `jobs` unseen ones (negative: fewer pending than our own). */
  observed(jobs: number, seconds: number, serviceSeconds: number, constants: PolicyConstants): void {
    // How much of what was there at the last poll has been replaced since, so how much this poll says anew.
    const renewed = 1 - Math.exp(-seconds / serviceSeconds)
    const surprise = jobs - (this.jobs - renewed * this.steadyJobs)
    this.#rawSteadyJobs += constants.steadyLoadGainRatio * renewed * (surprise - renewed * this.#rawSteadyJobs)
    this.steadyJobs = Math.max(0, this.#rawSteadyJobs)
    this.jobs = Math.max(0, jobs)
  }
}
