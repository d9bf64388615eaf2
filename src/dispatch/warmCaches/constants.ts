/**
 * The constants of routing by warm caches, but for a few that stand beside the one function that uses them. Names end in their
 * unit; sizes are characters (UTF-16 units). The values were found by simulation of unlike engines at 50 to 95 % of capacity.
 */
export const WARM_CACHE_CONSTANTS = {
  /** Numbers that the index of one service holds at most, and those of all together. Too few cost much, too many nothing. */
  indexNumbers: 16_384,
  allIndexesNumbers: 262_144,

  /**
   * Part of an index that a prompt may fill before its service has begun to answer, so that refused prompts, which cost a client
   * nothing, do not push out what is known.
   */
  unansweredRatio: 1 / 64,

  /** Minimum uncached size of a prompt: no engine answers without any work. */
  leastColdCharacters: 4,
  /** How many times a prompt's own prefill counts: the second is for what it evicts from the cache. */
  prefillWeightRatio: 2,
  /** Requests that decoding is reckoned with besides those that run: what a token costs an engine that has only one. */
  decodeBaseRequests: 32,
  /** Answers after which half of that counts: before, rates say little, and the load decides. */
  doubtAnswers: 100,

  /** A session known only by name stays if its score is at most this multiple of the best: how fast equal services seem differs by chance. */
  sessionScoreRatio: 1.25,

  /** What a first token takes besides its prefill, in characters. */
  firstTokenCharacters: 400,
  /** Seconds per character until a first token was seen. */
  firstPrefillSeconds: 60e-6,
  /** What is left of the evidence at the next first token: of one service, and of the fleet. */
  prefillMemoryRatio: 0.98,
  fleetPrefillMemoryRatio: 0.995,
  /** How much the fleet's rate counts for in a service's own. */
  prefillPriorCharacters: 80_000,

  /** Seconds of decoding for each request there (with `decodeBaseRequests`) until the end of a stream was seen. */
  firstDecodeSeconds: 0.1,
  decodeMemoryRatio: 0.995,
  fleetDecodeMemoryRatio: 0.999,
  decodePriorRequests: 160,

  /** The fleet's rates times this are the prior of each service: one that was never tried must look better than those that were. */
  untriedRatio: 0.98,

  /** What is left of the evidence from answers in one piece at the next of them. */
  wholeMemoryRatio: 0.998,

  /** What is left of a service's polls at its next one, where the part of other gateways is reckoned. */
  pollMemoryRatio: 0.8,
} as const
