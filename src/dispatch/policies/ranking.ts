import type { Candidate, SelectionContext } from './candidate.ts'

/** Up to this many places they are filled in one pass over the candidates; above, all are sorted. */
const FEW = 64

interface Place<T> {
  readonly candidate: T
  readonly score: number
  /** Puts those with equal scores in random order. */
  readonly tieBreak: number
}

/** The candidates on places `offset` to `offset + n` by score, best first, ties at random. */
export function rank<T extends Candidate>(
  candidates: readonly T[],
  context: SelectionContext<T>,
  n: number,
  offset = 0,
): T[] {
  const wanted = Math.min(offset + n, candidates.length)
  const places = wanted <= FEW ? best(candidates, context, wanted) : all(candidates, context).sort(byScore)
  return places.slice(offset, wanted).map((place) => place.candidate)
}

function all<T extends Candidate>(candidates: readonly T[], context: SelectionContext<T>): Place<T>[] {
  const allowed = context.allows === undefined ? candidates : candidates.filter(context.allows)
  const scoreOf = scoring(candidates, context)
  return allowed.map((candidate) => ({ candidate, score: scoreOf(candidate), tieBreak: context.random() }))
}

/** The best `wanted` in order, without sorting the others: most of them fall out at the first comparison. */
function best<T extends Candidate>(candidates: readonly T[], context: SelectionContext<T>, wanted: number): Place<T>[] {
  const places: Place<T>[] = []
  if (wanted === 0) return places
  const scoreOf = scoring(candidates, context)
  const { allows, random } = context
  for (const candidate of candidates) {
    if (allows !== undefined && !allows(candidate)) continue
    const score = scoreOf(candidate)
    if (places.length === wanted && score > places[wanted - 1]!.score) continue
    insert(places, { candidate, score, tieBreak: random() })
    if (places.length > wanted) places.pop()
  }
  return places
}

function insert<T>(places: Place<T>[], place: Place<T>): void {
  let at = places.length
  while (at > 0 && byScore(places[at - 1]!, place) > 0) at--
  places.splice(at, 0, place)
}

const byScore = (a: Place<unknown>, b: Place<unknown>): number => a.score - b.score || a.tieBreak - b.tieBreak

/** Scores of long lists may be a little old: an answer to a look-up is older still when it is used. */
function scoring<T extends Candidate>(
  candidates: readonly T[],
  { now, fleet, costRatio = 1, kind }: SelectionContext<T>,
): (candidate: T) => number {
  if (candidates.length <= fleet.constants.fullScanNodes) {
    return (candidate) => candidate.load.score(now, costRatio, kind)
  }
  return (candidate) => candidate.load.cachedScore(now, costRatio, kind)
}
