/**
 * Every constant of routing by warm caches. Names end in their unit; sizes are characters (UTF-16 units). The values were found by
 * simulation of unlike engines at 50 to 95 % of what they can do.
 */
export interface WarmCacheConstants {
  /** Numbers that the index of one service holds at most, and those of all together. Too few cost much, too many nothing. */
  readonly indexNumbers: number
  readonly allIndexesNumbers: number

  /**
   * Part of an index that a prompt may fill before its service has begun to answer, so that refused prompts, which cost a client
   * nothing, do not push out what is known.
   */
  readonly unansweredRatio: number

  /** So much of a prompt is always new: no engine answers without any work. */
  readonly leastColdCharacters: number
  /** How many times a prompt's own prefill counts: the second is for what it evicts from the cache. */
  readonly prefillWeightRatio: number
  /** Requests that decoding is reckoned with besides those that run: what a token costs an engine that has only one. */
  readonly decodeBaseRequests: number

  /**
   * A session that is known by its name alone stays where it was, if the score there is at most so many times the best: how fast equal
   * services seem differs by a little chance.
   */
  readonly sessionScoreRatio: number

  /** What a first token takes besides its prefill, in characters. */
  readonly firstTokenCharacters: number
  /** Seconds per character until a first token was seen. */
  readonly firstPrefillSeconds: number
  /** What is left of the evidence at the next first token: of one service, and of the fleet. */
  readonly prefillMemoryRatio: number
  readonly fleetPrefillMemoryRatio: number
  /** How much the fleet's rate counts for in a service's own. */
  readonly prefillPriorCharacters: number

  /** Seconds of decoding for each request there (with `decodeBaseRequests`) until the end of a stream was seen. */
  readonly firstDecodeSeconds: number
  readonly decodeMemoryRatio: number
  readonly fleetDecodeMemoryRatio: number
  readonly decodePriorRequests: number

  /** What is left of the evidence from answers in one piece at the next of them. */
  readonly wholeMemoryRatio: number

  /** What is left of a service's polls at its next one, where the part of other gateways is reckoned. */
  readonly pollMemoryRatio: number
}

export const WARM_CACHE_CONSTANTS: WarmCacheConstants = {
  indexNumbers: 16_384,
  allIndexesNumbers: 262_144,
  unansweredRatio: 1 / 64,
  leastColdCharacters: 4,
  prefillWeightRatio: 2,
  decodeBaseRequests: 32,
  sessionScoreRatio: 1.25,
  firstTokenCharacters: 400,
  firstPrefillSeconds: 60e-6,
  prefillMemoryRatio: 0.98,
  fleetPrefillMemoryRatio: 0.995,
  prefillPriorCharacters: 80_000,
  firstDecodeSeconds: 0.1,
  decodeMemoryRatio: 0.995,
  fleetDecodeMemoryRatio: 0.999,
  decodePriorRequests: 160,
  wholeMemoryRatio: 0.998,
  pollMemoryRatio: 0.8,
}
