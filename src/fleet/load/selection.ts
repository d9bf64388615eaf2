import type { FleetLoad } from './fleetLoad.ts'
import type { WorkKind } from './kinds.ts'
import type { NodeLoad } from './nodeLoad.ts'
import { samplingTable } from './sampling.ts'

export { rank } from './ranking.ts'

/** What selection asks of a node. */
export interface Candidate {
  readonly load: NodeLoad
}

export interface SelectionContext<T extends Candidate = Candidate> {
  /** Monotonic seconds. */
  readonly now: number
  readonly fleet: FleetLoad
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** The job's cost over the mean one; see `FleetLoad.costRatioOf`. */
  readonly costRatio?: number
  /** Its kind of work, where something was learnt of that. */
  readonly kind?: WorkKind | undefined
  /** Leaves candidates out, such as those that were tried. Cheaper than a filtered list, of which nothing is remembered. */
  readonly allows?: ((candidate: T) => boolean) | undefined
}

/** Chooses one of the candidates; undefined where none is allowed. Lists of more than a hundred should be the same
 * array from call to call while they hold the same nodes: what is known of a list is remembered with it. */
export type SelectNode = <T extends Candidate>(candidates: readonly T[], context: SelectionContext<T>) => T | undefined

type Price = (load: NodeLoad, now: number, costRatio: number, kind: WorkKind | undefined) => number

const scored: Price = (load, now, costRatio, kind) => load.score(now, costRatio, kind)
const polled: Price = (load) => load.pending ?? 0
const inFlight: Price = (load) => load.inFlight

/** The lowest price of all, ties at random. */
function cheapest<T extends Candidate>(
  candidates: readonly T[],
  { now, random, costRatio = 1, kind, allows }: SelectionContext<T>,
  price: Price,
): T | undefined {
  let best: T | undefined
  let bestPrice = Infinity
  let ties = 0
  for (let i = 0; i < candidates.length; i++) {
    const candidate = candidates[i]!
    if (allows !== undefined && !allows(candidate)) continue
    const itsPrice = price(candidate.load, now, costRatio, kind)
    if (itsPrice < bestPrice) {
      best = candidate
      bestPrice = itsPrice
      ties = 1
    } else if (itsPrice === bestPrice && random() * ++ties < 1) best = candidate
  }
  return best
}

/** The lowest score of a few, drawn by throughput; undefined where none of them is allowed. */
function cheapestOfSample<T extends Candidate>(
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

const score: SelectNode = (candidates, context) => {
  if (candidates.length <= context.fleet.constants.fullScanNodes) return cheapest(candidates, context, scored)
  return cheapestOfSample(candidates, context) ?? cheapest(candidates, context, scored)
}

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

/** How a node can be chosen. `score` is the policy; the others are what it is measured against:
 * `least-pending` goes by the last poll alone, as the original router does; `least-in-flight` is what common reverse
 * proxies do; `two-random` takes the better of two by the last poll. */
export const SELECTION_POLICIES = {
  score,
  'least-pending': leastPending,
  'least-in-flight': leastInFlight,
  'two-random': twoRandom,
  'round-robin': roundRobin,
} as const satisfies Record<string, SelectNode>

export type SelectionPolicyName = keyof typeof SELECTION_POLICIES

/** True where so many nodes look unhealthy that the gateway's own network is the likelier culprit. Traffic may then go
 * to any that do not plainly refuse it; look-ups and whatever shows health must not take this into account. */
export function isInPanic(nodes: number, unhealthy: number, panicNodes: number): boolean {
  return nodes >= panicNodes && unhealthy > nodes / 2
}
