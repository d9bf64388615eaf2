import type { Candidate, SelectionContext, SelectNode } from '../../../src/dispatch/policies/candidate.ts'
import type { FleetLoad } from '../../../src/fleet/load/fleetLoad.ts'
import type { NodeLoad } from '../../../src/fleet/load/nodeLoad.ts'
import { lowestScore } from '../../../src/dispatch/policies/selection.ts'

/** The lowest price of all, ties at random. */
function cheapest<T extends Candidate>(
  candidates: readonly T[],
  { random, allows }: SelectionContext<T>,
  priceOf: (load: NodeLoad) => number,
): T | undefined {
  let best: T | undefined
  let bestPrice = Infinity
  let ties = 0
  for (const candidate of candidates) {
    if (allows !== undefined && !allows(candidate)) continue
    const price = priceOf(candidate.load)
    if (price < bestPrice) {
      best = candidate
      bestPrice = price
      ties = 1
    } else if (price === bestPrice && random() * ++ties < 1) best = candidate
  }
  return best
}

const polled = (load: NodeLoad): number => load.pending ?? 0
const inFlight = (load: NodeLoad): number => load.inFlight

const leastPending: SelectNode = (candidates, context) => cheapest(candidates, context, polled)

const leastInFlight: SelectNode = (candidates, context) => cheapest(candidates, context, inFlight)

const twoRandom: SelectNode = (candidates, context) => {
  const { random, allows } = context
  const allowed = allows === undefined ? candidates : candidates.filter(allows)
  const first = Math.floor(random() * allowed.length)
  const second = (first + 1 + Math.floor(random() * (allowed.length - 1))) % allowed.length
  if (allowed.length < 2) return allowed[0]
  return cheapest([allowed[first]!, allowed[second]!], { ...context, allows: undefined }, polled)
}

const turns = new WeakMap<FleetLoad, number>()

const roundRobin: SelectNode = (candidates, { fleet, allows }) => {
  const turn = turns.get(fleet) ?? 0
  for (let step = 0; step < candidates.length; step++) {
    const candidate = candidates[(turn + step) % candidates.length]!
    if (allows !== undefined && !allows(candidate)) continue
    turns.set(fleet, turn + step + 1)
    return candidate
  }
  return undefined
}

/** The gateway's own policy, `score`, and the ones it is measured against:
 * `least-pending` goes by the last poll alone, as the original router does; `least-in-flight` is what common reverse
 * proxies do; `two-random` takes the better of two by the last poll. */
export const SELECTION_POLICIES = {
  score: lowestScore,
  'least-pending': leastPending,
  'least-in-flight': leastInFlight,
  'two-random': twoRandom,
  'round-robin': roundRobin,
} as const satisfies Record<string, SelectNode>

export type SelectionPolicyName = keyof typeof SELECTION_POLICIES
