import type { Candidate, SelectionContext, SelectNode } from './candidate.ts'
import { samplingTable } from './sampling.ts'

/** The lowest score of all, ties at random. */
function lowestOfAll<T extends Candidate>(
  candidates: readonly T[],
  { now, random, costRatio = 1, kind, allows }: SelectionContext<T>,
): T | undefined {
  let best: T | undefined
  let bestScore = Infinity
  let ties = 0
  for (let i = 0; i < candidates.length; i++) {
    const candidate = candidates[i]!
    if (allows !== undefined && !allows(candidate)) continue
    const score = candidate.load.score(now, costRatio, kind)
    if (score < bestScore) {
      best = candidate
      bestScore = score
      ties = 1
    } else if (score === bestScore && random() * ++ties < 1) best = candidate
  }
  return best
}

/** The lowest score of a few, drawn by throughput; undefined where none of them is allowed. */
function lowestOfSample<T extends Candidate>(
  candidates: readonly T[],
  { now, fleet, random, costRatio, kind, allows }: SelectionContext<T>,
): T | undefined {
  const { sampledNodes, sampleTableSeconds } = fleet.constants
  const table = samplingTable(candidates, now, sampleTableSeconds)
  let best: T | undefined
  let bestScore = Infinity
  for (let draw = 0; draw < sampledNodes; draw++) {
    const candidate = candidates[table.draw(random())]!
    if (allows !== undefined && !allows(candidate)) continue
    const score = candidate.load.score(now, costRatio, kind)
    if (score >= bestScore) continue
    best = candidate
    bestScore = score
  }
  return best
}

/** The policy: the lowest score of all, or of a sample where the list is long. */
export const lowestScore: SelectNode = (candidates, context) => {
  if (candidates.length <= context.fleet.constants.fullScanNodes) return lowestOfAll(candidates, context)
  return lowestOfSample(candidates, context) ?? lowestOfAll(candidates, context)
}

/** True where so many nodes look unhealthy that the gateway's own network is the likelier culprit. Traffic may then go
 * to any that do not plainly refuse it; look-ups and whatever shows health must not take this into account. */
export function isInPanic(nodes: number, unhealthy: number, panicNodes: number): boolean {
  return nodes >= panicNodes && unhealthy > nodes / 2
}
