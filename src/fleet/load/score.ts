import type { PolicyConstants } from './constants.ts'

/** Seconds that one more job costs on a node: its own service, and, where it has to queue, the delay that it puts on
 * those after it. That is what the square is for: pricing one's own wait alone lets queues on slow nodes grow. */
export function waitingSeconds(
  load: number,
  concurrency: number,
  serviceSeconds: number,
  constants: PolicyConstants,
): number {
  const rounds = (load + 1) / concurrency
  return serviceSeconds * (rounds > 1 ? rounds * rounds : 1 + constants.idleTiltRatio * rounds)
}

/** What a job hinted to cost `costRatio` times the mean adds: large ones gain most on fast nodes. The load itself is
 * never weighed with hints: they are too wrong too often. */
export function costHintSeconds(costRatio: number, serviceSeconds: number, constants: PolicyConstants): number {
  return constants.costHintRatio * serviceSeconds * (Math.sqrt(costRatio) - 1)
}
