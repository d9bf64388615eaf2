import type { TrackedNode } from '../fleet/node.ts'
import { hash32 } from './hash.ts'

/** How much slower than the fastest candidate a preferred one may be: past this a warm cache no longer pays. */
const MOST_TIMES_SLOWER = 2

/**
 * The candidate that a session should go back to, by highest-random-weight hashing: the same one as long as it is there,
 * whoever else comes or goes. Soft, with bounded load: one that would have to queue, or is much slower than the fastest,
 * gives way to the next, and `undefined` means that the session has no claim at all.
 */
export function preferredFor(
  session: string,
  candidates: readonly TrackedNode[],
  now: number,
  allows: (node: TrackedNode) => boolean,
): TrackedNode | undefined {
  let fastest = Infinity
  for (const node of candidates) if (allows(node)) fastest = Math.min(fastest, node.load.serviceSeconds(now))
  let best: TrackedNode | undefined
  let bestHash = -1
  for (const node of candidates) {
    if (!allows(node) || node.load.load(now) + 1 > node.load.concurrency) continue
    if (node.load.serviceSeconds(now) > MOST_TIMES_SLOWER * fastest) continue
    const hash = hash32(`${node.key}\n${session}`)
    if (hash > bestHash) {
      bestHash = hash
      best = node
    }
  }
  return best
}
