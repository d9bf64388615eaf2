import { WARM_CACHE_CONSTANTS } from './constants.ts'

/** Weight of the prior, in answers: just enough for a fit where all answers are alike. */
const PRIOR_ANSWERS = 0.01
/** A fit never makes one of both rates less than this share of its prior: sizes scatter, and none is 0. */
const LEAST_RATIO = 1e-4

/**
 * Both rates where no answer is a stream, so that no first token is ever seen: the least squares of
 * `seconds = p · characters + q · requests` over all answers of the fleet that came in one piece.
 */
export class WholeAnswers {
  #xx: number
  #xl = 0
  #ll: number
  #xy: number
  #ly: number
  #prefillSeconds: number
  #decodeSeconds: number
  #hasLearnt = false

  constructor() {
    const { firstPrefillSeconds, firstDecodeSeconds, decodeBaseRequests, firstTokenCharacters } = WARM_CACHE_CONSTANTS
    const characters = 4 * firstTokenCharacters
    this.#xx = PRIOR_ANSWERS * characters ** 2
    this.#ll = PRIOR_ANSWERS * decodeBaseRequests ** 2
    this.#xy = this.#xx * firstPrefillSeconds
    this.#ly = this.#ll * firstDecodeSeconds
    this.#prefillSeconds = firstPrefillSeconds
    this.#decodeSeconds = firstDecodeSeconds
  }

  get hasLearnt(): boolean {
    return this.#hasLearnt
  }

  /** Seconds per character to the first token. */
  get secondsPerCharacter(): number {
    return this.#prefillSeconds
  }

  /** Seconds of decoding for each request there. */
  get secondsPerRequest(): number {
    return this.#decodeSeconds
  }

  /**
   * An answer in one piece has ended.
   *
   * @param seconds since its request
   * @param characters to prefill before its first token
   * @param requests at the service in the meantime, with `decodeBaseRequests`
   */
  observed(seconds: number, characters: number, requests: number): void {
    const { wholeMemoryRatio: kept } = WARM_CACHE_CONSTANTS
    this.#xx = this.#xx * kept + characters * characters
    this.#xl = this.#xl * kept + characters * requests
    this.#ll = this.#ll * kept + requests * requests
    this.#xy = this.#xy * kept + characters * seconds
    this.#ly = this.#ly * kept + requests * seconds
    this.#hasLearnt = true
    this.#solve()
  }

  #solve(): void {
    const { firstPrefillSeconds, firstDecodeSeconds } = WARM_CACHE_CONSTANTS
    const determinant = this.#xx * this.#ll - this.#xl * this.#xl
    const leastPrefill = LEAST_RATIO * firstPrefillSeconds
    const leastDecode = LEAST_RATIO * firstDecodeSeconds
    let prefill = determinant > 0 ? (this.#xy * this.#ll - this.#ly * this.#xl) / determinant : 0
    let decode = determinant > 0 ? (this.#ly * this.#xx - this.#xy * this.#xl) / determinant : 0
    if (!(prefill >= leastPrefill)) {
      prefill = leastPrefill
      decode = (this.#ly - prefill * this.#xl) / this.#ll
    } else if (!(decode >= leastDecode)) {
      decode = leastDecode
      prefill = (this.#xy - decode * this.#xl) / this.#xx
    }
    this.#prefillSeconds = Math.max(prefill, leastPrefill)
    this.#decodeSeconds = Math.max(decode, leastDecode)
  }
}

/** The answers in one piece of one service, as far as they say how fast it is beside the others. */
export class ServiceWholeAnswers {
  #seconds = 0
  #characters = 0
  #requests = 0

  /** See `WholeAnswers.observed`, which has the same memory: otherwise a fleet that becomes faster would make each look fast. */
  observed(seconds: number, characters: number, requests: number): void {
    const { wholeMemoryRatio: kept } = WARM_CACHE_CONSTANTS
    this.#seconds = this.#seconds * kept + seconds
    this.#characters = this.#characters * kept + characters
    this.#requests = this.#requests * kept + requests
  }

  /**
   * How long its answers took compared with what the fleet's fit says of them now; 1 is the same.
   *
   * @param prior what it is without evidence, with the weight of `decodePriorRequests`
   */
  pace({ secondsPerCharacter, secondsPerRequest }: WholeAnswers, prior: number): number {
    if (this.#requests === 0) return prior
    const weight = secondsPerRequest * WARM_CACHE_CONSTANTS.decodePriorRequests
    const expected = secondsPerCharacter * this.#characters + secondsPerRequest * this.#requests
    return (this.#seconds + weight * prior) / (expected + weight)
  }
}
