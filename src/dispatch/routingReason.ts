import type { NodeScore, RoutingReason } from './selector.ts'

/** How reasons read in `X-Routing-Reason`. */
const TEXTS: Readonly<Record<RoutingReason, string>> = {
  retried: 'retried',
  onlyOne: 'only one',
  warm: 'warm',
  leastLoaded: 'least loaded',
}

/** Decimal places of scores, which are seconds. */
const PLACES = 3

/**
 * What `X-Routing-Reason` says of a choice, such as `warm; best=0.213; second=0.480`.
 *
 * @param scores of those that could have been chosen, the best first, seconds: at most two are shown
 */
export function routingText(reason: RoutingReason, [best, second]: readonly Pick<NodeScore, 'score'>[]): string {
  const told = [TEXTS[reason]]
  if (best) told.push(`best=${best.score.toFixed(PLACES)}`)
  if (second) told.push(`second=${second.score.toFixed(PLACES)}`)
  return told.join('; ')
}
