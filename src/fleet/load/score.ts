import type { PolicyConstants } from './constants.ts'

/** Seconds that one more job costs on a node: its own service, and, where it has to queue, the delay that it puts on
 * those after it. That is what the square is for: pricing one's own wait alone lets queues on slow nodes grow.
 * @param evidenceJobs what the service time was learnt from. Where that is little, its differences are mostly chance, and
 * the load decides. */
export function waitingSeconds(
  load: number,
  concurrency: number,
  serviceSeconds: number,
  constants: PolicyConstants,
  evidenceJobs = Infinity,
): number {
  const rounds = (load + 1) / concurrency
  const waiting = rounds > 1 ? rounds * rounds : 1 + constants.idleTiltRatio * rounds
  const doubt = constants.doubtJobs / (constants.doubtJobs + evidenceJobs)
  // Nothing for the first job: a node without a past is worth a try.
  const tilt = constants.doubtTiltRatio * doubt * doubt * (Math.min(1, rounds) - 1 / concurrency)
  return serviceSeconds * (waiting + tilt)
}

/** What a job that costs `costRatio` times the mean, by a hint or its kind, adds: large ones gain most on fast nodes. The
 * load itself is never weighed with it: hints are too wrong too often. */
export function costHintSeconds(costRatio: number, serviceSeconds: number, constants: PolicyConstants): number {
  return constants.costHintRatio * serviceSeconds * (Math.sqrt(costRatio) - 1)
}
