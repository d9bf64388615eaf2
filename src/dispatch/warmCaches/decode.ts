import { WARM_CACHE_CONSTANTS, type WarmCacheConstants } from './constants.ts'

/** What the ends of streams at all services taught of decoding, together. */
export class FleetDecode {
  readonly constants: WarmCacheConstants
  #seconds = 0
  #requests = 0

  constructor(constants: WarmCacheConstants = WARM_CACHE_CONSTANTS) {
    this.constants = constants
  }

  get hasLearnt(): boolean {
    return this.#requests > 0
  }

  /** `qf`: seconds from the first token to the last for each request that is there, with `decodeBaseRequests` more. */
  get secondsPerRequest(): number {
    return this.hasLearnt ? this.#seconds / this.#requests : this.constants.firstDecodeSeconds
  }

  /** A stream ended so many seconds after its first token, among so many requests (with `decodeBaseRequests`). */
  observed(seconds: number, requests: number): void {
    const { fleetDecodeMemoryRatio: kept } = this.constants
    this.#seconds = this.#seconds * kept + seconds
    this.#requests = this.#requests * kept + requests
  }
}

/** The same of one service, where it is drawn towards the fleet's while little is known. */
export class ServiceDecode {
  readonly #constants: WarmCacheConstants
  #seconds = 0
  #requests = 0

  constructor(constants: WarmCacheConstants = WARM_CACHE_CONSTANTS) {
    this.#constants = constants
  }

  /** `q`, where the fleet has `fleetSeconds` of it. */
  secondsPerRequest(fleetSeconds: number): number {
    const { decodePriorRequests } = this.#constants
    return (this.#seconds + decodePriorRequests * fleetSeconds) / (this.#requests + decodePriorRequests)
  }

  /** See `FleetDecode.observed`. */
  observed(seconds: number, requests: number): void {
    const { decodeMemoryRatio: kept } = this.#constants
    this.#seconds = this.#seconds * kept + seconds
    this.#requests = this.#requests * kept + requests
  }
}
