import { hash32, mixed32 } from '../hash.ts'
import { WARM_CACHE_CONSTANTS } from './constants.ts'

/** Standard deviation of `requests - own` at one poll where all are ours, in requests: the service counts a moment before or after us. */
const RACE_REQUESTS = 1
/** Standard errors by which the sums must differ before other gateways are believed in. */
const LEAST_ERRORS = 2

/** The polls of one service, summed; each counts less at the next. */
interface Polls {
  readonly own: number
  readonly polled: number
  /** Sum of the squares of the weights with which they count. */
  readonly squares: number
}

/**
 * How much of the services' load is not ours. Other gateways send turns of the same conversations, and what they sent is in a
 * cache, too.
 */
export class OtherGateways<Service extends object> {
  readonly #polls = new Map<Service, Polls>()
  readonly #siblings: () => number
  #share = 0

  /** @param siblings other gateways that are known to share the clients, such as workers on the same port */
  constructor(siblings: () => number = () => 0) {
    this.#siblings = siblings
  }

  /** `φ`, 0 to 1: the chance that the last turn of a conversation went through another gateway, by the load, and by how many
   * gateways are known to share the clients; 0 where we are alone. */
  get share(): number {
    const siblings = this.#siblings()
    return siblings > 0 ? Math.max(this.#share, Math.sqrt(siblings / (siblings + 1))) : this.#share
  }

  /** A poll of the service showed this number of requests, `own` of which were ours. */
  observed(service: Service, requests: number, own: number): void {
    const { pollMemoryRatio: kept } = WARM_CACHE_CONSTANTS
    const before = this.#polls.get(service) ?? { own: 0, polled: 0, squares: 0 }
    this.#polls.set(service, {
      own: before.own * kept + own,
      polled: before.polled * kept + requests,
      squares: before.squares * kept * kept + 1,
    })
    this.#update()
  }

  /** The service has left, or was down. */
  forget(service: Service): void {
    if (this.#polls.delete(service)) this.#update()
  }

  /** Sums anew each time: sums kept by differences would end as rounding errors once all services are idle. */
  #update(): void {
    let own = 0
    let polled = 0
    let squares = 0
    for (const polls of this.#polls.values()) {
      own += polls.own
      polled += polls.polled
      squares += polls.squares
    }
    // The root makes much of little: 2 % of noise would be a share of 0.14.
    const isAlone = !(polled - own > LEAST_ERRORS * RACE_REQUESTS * Math.sqrt(squares))
    this.#share = isAlone ? 0 : Math.min(1, Math.sqrt(1 - own / polled))
  }
}

/** A service's part of `homeCost`, of its name. */
export function homeSeed(service: string): number {
  return hash32(service)
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
  const hash = mixed32(mixed32((conversation >>> 0) ^ seed) ^ Math.imul(high + 1, 0x9e3779b1)) >>> 0
  return -Math.log((hash + 0.5) / 2 ** 32) * prefillSeconds
}
