import { WARM_CACHE_CONSTANTS } from './constants.ts'

/** Weight of the prior, in answers: just enough for a fit where all answers are alike. */
const PRIOR_ANSWERS = 0.01
/** A fit never makes one of both rates less than this share of its prior: sizes scatter, and none is 0. */
const LEAST_RATIO = 0.01

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
   * An answer in one piece has ended. Returns the part of its time that went into decoding, seconds, by what was known before.
   *
   * @param seconds since its request
   * @param characters to prefill before its first token
   * @param requests at the service in the meantime, with `decodeBaseRequests`
   */
  observed(seconds: number, characters: number, requests: number): number {
    const { wholeMemoryRatio: kept } = WARM_CACHE_CONSTANTS
    const decoding = this.#decodeSeconds * requests
    const part = (seconds * decoding) / (this.#prefillSeconds * characters + decoding)
    this.#xx = this.#xx * kept + characters * characters
    this.#xl = this.#xl * kept + characters * requests
    this.#ll = this.#ll * kept + requests * requests
    this.#xy = this.#xy * kept + characters * seconds
    this.#ly = this.#ly * kept + requests * seconds
    this.#hasLearnt = true
    this.#solve()
    return part
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
