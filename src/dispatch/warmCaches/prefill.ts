import { WARM_CACHE_CONSTANTS, type WarmCacheConstants } from './constants.ts'

/** What first tokens at all services taught of prefilling, together. */
export class FleetPrefill {
  readonly constants: WarmCacheConstants
  #seconds = 0
  #characters = 0

  constructor(constants: WarmCacheConstants = WARM_CACHE_CONSTANTS) {
    this.constants = constants
  }

  /** Whether any first token was seen. */
  get hasLearnt(): boolean {
    return this.#characters > 0
  }

  /** `pf`: seconds per character to the first token. */
  get secondsPerCharacter(): number {
    return this.hasLearnt ? this.#seconds / this.#characters : this.constants.firstPrefillSeconds
  }

  /** A first token came after so many seconds, with so many characters to prefill before it. */
  observed(seconds: number, characters: number): void {
    const { fleetPrefillMemoryRatio: kept } = this.constants
    this.#seconds = this.#seconds * kept + seconds
    this.#characters = this.#characters * kept + characters
  }
}

/** The same of one service, where it is drawn towards the fleet's while little is known. */
export class ServicePrefill {
  readonly #fleet: FleetPrefill
  #seconds = 0
  #characters = 0

  constructor(fleet: FleetPrefill) {
    this.#fleet = fleet
  }

  /** `p`: seconds per character to the first token. */
  get secondsPerCharacter(): number {
    const { prefillPriorCharacters } = this.#fleet.constants
    return (
      (this.#seconds + prefillPriorCharacters * this.#fleet.secondsPerCharacter) /
      (this.#characters + prefillPriorCharacters)
    )
  }

  /** See `FleetPrefill.observed`, which this tells as well. */
  observed(seconds: number, characters: number): void {
    const { prefillMemoryRatio: kept } = this.#fleet.constants
    this.#seconds = this.#seconds * kept + seconds
    this.#characters = this.#characters * kept + characters
    this.#fleet.observed(seconds, characters)
  }
}
