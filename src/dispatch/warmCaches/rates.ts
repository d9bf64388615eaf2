import { WARM_CACHE_CONSTANTS, type WarmCacheConstants } from './constants.ts'
import { FleetDecode, ServiceDecode } from './decode.ts'
import { FleetPrefill, ServicePrefill } from './prefill.ts'
import { WholeAnswers } from './wholeAnswers.ts'

/** How fast the services of a fleet prefill and decode, together: what one of which nothing is known is taken to do. */
export class FleetRates {
  readonly constants: WarmCacheConstants
  readonly prefill: FleetPrefill
  readonly decode: FleetDecode
  readonly whole: WholeAnswers

  constructor(constants: WarmCacheConstants = WARM_CACHE_CONSTANTS) {
    this.constants = constants
    this.prefill = new FleetPrefill(constants)
    this.decode = new FleetDecode(constants)
    this.whole = new WholeAnswers(constants)
  }

  /** Whether answers in one piece are all that there is to learn from. */
  get isWithoutStreams(): boolean {
    return !this.prefill.hasLearnt
  }

  /** `pf`, seconds per character. */
  get prefillSeconds(): number {
    return this.isWithoutStreams ? this.whole.secondsPerCharacter : this.prefill.secondsPerCharacter
  }

  /** `qf`, seconds per request. */
  get decodeSeconds(): number {
    return this.decode.hasLearnt ? this.decode.secondsPerRequest : this.whole.secondsPerRequest
  }
}

/** How fast one service prefills and decodes. */
export class ServiceRates {
  readonly #fleet: FleetRates
  readonly #prefill: ServicePrefill
  readonly #decode: ServiceDecode

  constructor(fleet: FleetRates) {
    this.#fleet = fleet
    this.#prefill = new ServicePrefill(fleet.prefill)
    this.#decode = new ServiceDecode(fleet.constants)
  }

  /** `p`: seconds per character to the first token. */
  get prefillSeconds(): number {
    const fleet = this.#fleet
    if (!fleet.isWithoutStreams) return this.#prefill.secondsPerCharacter
    // A service that decodes slowly is taken to prefill slowly.
    return (fleet.prefillSeconds * this.decodeSeconds) / fleet.decodeSeconds
  }

  /** `q`: seconds of decoding for each request there. */
  get decodeSeconds(): number {
    return this.#decode.secondsPerRequest(this.#fleet.decodeSeconds)
  }

  /** The first token of a stream came so many seconds after its request, with so many characters to prefill before it. */
  firstToken(seconds: number, characters: number): void {
    this.#prefill.observed(seconds, characters)
  }

  /** A stream ended so many seconds after its first token, among so many requests (with `decodeBaseRequests`). */
  streamed(seconds: number, requests: number): void {
    this.#decode.observed(seconds, requests)
    this.#fleet.decode.observed(seconds, requests)
  }

  /** An answer came in one piece; that teaches only where nothing else does. */
  answeredWhole(seconds: number, characters: number, requests: number): void {
    if (!this.#fleet.isWithoutStreams) return
    this.#decode.observed(this.#fleet.whole.observed(seconds, characters, requests), requests)
  }
}
