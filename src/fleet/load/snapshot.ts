/** The state of a node's load, for people. Times are seconds of the caller's clock. */
export interface NodeLoadSnapshot {
  readonly load: number
  readonly inFlight: number
  readonly unseenJobs: number
  readonly pending: number | undefined
  readonly serviceSeconds: number
  readonly concurrency: number
  readonly failureLevel: number
  readonly suspicion: number
  readonly ejectedUntil: number | undefined
  /** Its ejection is over, but it has not served a request since: it gets one at a time. */
  readonly isOnTrial: boolean
  /** Where the service time is from: jobs that it served lately, the mean of the fleet, or a default. */
  readonly serviceFrom: 'learnt' | 'fleet' | 'default'
  /** Where the concurrency is from: the operator, jobs that it served, or a default. */
  readonly concurrencyFrom: 'set' | 'learnt' | 'default'
}
