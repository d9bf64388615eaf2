import { WARM_CACHE_CONSTANTS } from './constants.ts'
import { FadingRatio } from './fadingRatio.ts'
import { ServiceWholeAnswers, WholeAnswers } from './wholeAnswers.ts'

const {
  prefillMemoryRatio,
  fleetPrefillMemoryRatio,
  prefillPriorCharacters,
  decodeMemoryRatio,
  fleetDecodeMemoryRatio,
  decodePriorRequests,
  untriedRatio,
  decodeBaseRequests,
  doubtAnswers,
} = WARM_CACHE_CONSTANTS

/** How fast the services of a fleet prefill and decode, together: the prior for a service of which little is known. */
export class FleetRates {
  readonly prefill = new FadingRatio(fleetPrefillMemoryRatio)
  readonly decode = new FadingRatio(fleetDecodeMemoryRatio)
  readonly whole = new WholeAnswers()
  /** Answers whose end was seen. */
  answers = 0

  /** Whether answers in one piece are all that there is to learn from. */
  get isWithoutStreams(): boolean {
    return !this.prefill.hasLearnt
  }

  /** Requests that decoding is reckoned with besides those that run. */
  get baseRequests(): number {
    return (decodeBaseRequests * this.answers) / (this.answers + doubtAnswers)
  }

  /** What is multiplied with the fleet's rates where nothing is known of a service. */
  get priorRatio(): number {
    return this.prefill.hasLearnt || this.decode.hasLearnt || this.whole.hasLearnt ? untriedRatio : 1
  }

  /** `pf`, seconds per character. What whole answers have taught fades with the streams after them, not at the first. */
  get prefillSeconds(): number {
    const { whole } = this
    return this.prefill.ratioWith(whole.secondsPerCharacter, whole.hasLearnt ? prefillPriorCharacters : 0)
  }

  /** `qf`, seconds per request. */
  get decodeSeconds(): number {
    const { whole } = this
    return this.decode.ratioWith(whole.secondsPerRequest, whole.hasLearnt ? decodePriorRequests : 0)
  }
}

/** How fast one service prefills and decodes. */
export class ServiceRates {
  readonly #fleet: FleetRates
  readonly #prefill = new FadingRatio(prefillMemoryRatio)
  readonly #decode = new FadingRatio(decodeMemoryRatio)
  readonly #whole = new ServiceWholeAnswers()

  constructor(fleet: FleetRates) {
    this.#fleet = fleet
  }

  /** `p`: seconds per character to the first token. */
  get prefillSeconds(): number {
    return this.#prefill.ratioWith(this.#fleet.prefillSeconds * this.#priorRatio, prefillPriorCharacters)
  }

  /** `q`: seconds of decoding for each request there. */
  get decodeSeconds(): number {
    return this.#decode.ratioWith(this.#fleet.decodeSeconds * this.#priorRatio, decodePriorRequests)
  }

  /** What the fleet's rates are multiplied with for its prior. A service that is slow at answers in one piece is slow at both. */
  get #priorRatio(): number {
    return this.#whole.pace(this.#fleet.whole, this.#fleet.priorRatio)
  }

  /**
   * The first token of a stream came.
   *
   * @param seconds since its request
   * @param characters to prefill before it
   */
  firstToken(seconds: number, characters: number): void {
    this.#prefill.observed(seconds, characters)
    this.#fleet.prefill.observed(seconds, characters)
  }

  /**
   * A stream has ended.
   *
   * @param seconds since its first token
   * @param requests at the service in the meantime, with `decodeBaseRequests`
   */
  streamed(seconds: number, requests: number): void {
    this.#fleet.answers++
    this.#decode.observed(seconds, requests)
    this.#fleet.decode.observed(seconds, requests)
  }

  /** An answer came in one piece; that teaches only where nothing else does. See `WholeAnswers.observed`. */
  answeredWhole(seconds: number, characters: number, requests: number): void {
    this.#fleet.answers++
    if (!this.#fleet.isWithoutStreams) return
    this.#fleet.whole.observed(seconds, characters, requests)
    this.#whole.observed(seconds, characters, requests)
  }
}
