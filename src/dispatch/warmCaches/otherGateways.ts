import { WARM_CACHE_CONSTANTS, type WarmCacheConstants } from './constants.ts'

/** The polls of one service, summed; each counts less at the next. */
interface Polls {
  own: number
  polled: number
}

/**
 * How much of the services' load is not ours. Other gateways send turns of the same conversations, and what they sent is in a
 * cache, too.
 */
export class OtherGateways<Service extends object> {
  readonly #constants: WarmCacheConstants
  readonly #polls = new Map<Service, Polls>()
  #own = 0
  #polled = 0

  constructor(constants: WarmCacheConstants = WARM_CACHE_CONSTANTS) {
    this.#constants = constants
  }

  /** `φ`, 0 to 1: the chance that the last turn of a conversation went through another gateway, by the load; 0 where we are alone. */
  get share(): number {
    return this.#own < this.#polled ? Math.sqrt(1 - this.#own / this.#polled) : 0
  }

  /** A poll of the service showed so many requests, `own` of which were ours. */
  observed(service: Service, requests: number, own: number): void {
    const polls = this.#polls.get(service)
    const { pollMemoryRatio: kept } = this.#constants
    const now = { own: (polls?.own ?? 0) * kept + own, polled: (polls?.polled ?? 0) * kept + requests }
    this.#own += now.own - (polls?.own ?? 0)
    this.#polled += now.polled - (polls?.polled ?? 0)
    this.#polls.set(service, now)
  }

  /** The service has left, or was down. */
  forget(service: Service): void {
    if (!this.#polls.delete(service)) return
    // From the start, so that what rounding leaves never adds up.
    this.#own = 0
    this.#polled = 0
    for (const { own, polled } of this.#polls.values()) {
      this.#own += own
      this.#polled += polled
    }
  }
}

/** A service's part of `homeCost`, of its name. */
export function homeSeed(service: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < service.length; i++) hash = Math.imul(hash ^ service.charCodeAt(i), 0x01000193)
  return mixed(hash)
}

/**
 * Where the turns of a conversation are to meet, whichever gateway they come through: at the service with the least of this, by
 * weighted rendezvous hashing. Faster ones are home to more.
 *
 * @param conversation see `Prompt.conversation`
 * @param seed see `homeSeed`
 */
export function homeCost(conversation: number, seed: number, prefillSeconds: number): number {
  const high = Math.floor(conversation / 2 ** 32)
  const hash = mixed(mixed((conversation >>> 0) ^ seed) ^ Math.imul(high + 1, 0x9e3779b1))
  return -Math.log((hash + 0.5) / 2 ** 32) * prefillSeconds
}

/** Spreads each bit over all (the final mix of MurmurHash3). */
function mixed(hash: number): number {
  let bits = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return (bits ^ (bits >>> 16)) >>> 0
}
