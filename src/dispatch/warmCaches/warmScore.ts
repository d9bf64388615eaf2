import { WARM_CACHE_CONSTANTS } from './constants.ts'

/** A service as the score sees it for one request. */
export interface WarmState {
  /** `p`, seconds per character to the first token. */
  readonly prefillSeconds: number
  /** `q`, seconds of decoding for each request there. */
  readonly decodeSeconds: number
  /** `B`: characters that our requests there which have no first token yet still have to prefill. */
  readonly prefilling: number
}

/**
 * What one more request costs at a service, in seconds; the lowest wins. A prefill holds up all that run there, not only itself:
 * hence `load + 1`.
 *
 * @param cold characters of the prompt that are not in its cache (`u`)
 * @param load requests there (`L`)
 * @param baseRequests see `decodeBaseRequests`; fewer while little is known
 */
export function warmScore(
  { prefillSeconds, decodeSeconds, prefilling }: WarmState,
  cold: number,
  load: number,
  baseRequests: number = WARM_CACHE_CONSTANTS.decodeBaseRequests,
): number {
  const { prefillWeightRatio } = WARM_CACHE_CONSTANTS
  return prefillSeconds * (prefilling + prefillWeightRatio * cold * (load + 1)) + decodeSeconds * (load + baseRequests)
}
