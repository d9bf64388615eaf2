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
}
