/** Looks that clients bring forward are at least this far apart, seconds. */
export const SHORTEST_GAP_SECONDS = 0.05
/** And this share of the age of the youngest job that they ask for. */
const GAP_RATIO = 1 / 4

/** How long after the last look at a job of this age the next may be made. */
export function gapAt(ageSeconds: number): number {
  return Math.max(SHORTEST_GAP_SECONDS, ageSeconds * GAP_RATIO)
}

/** The age from which on a job may be looked at again that was looked at when it had another; `gapAt` solved for it. */
export function nextAge(lookedAge: number): number {
  return Math.max(lookedAge + SHORTEST_GAP_SECONDS, lookedAge / (1 - GAP_RATIO))
}
