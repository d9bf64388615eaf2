import type { Passage } from './passage.ts'
import { PREFILL_SECONDS_PER_CHARACTER, stepSeconds } from './engine.ts'
import type { Place, RoutedRequest, Router } from './router.ts'

/** The place with the lowest score; ties at random. */
function lowest(places: readonly Place[], random: () => number, score: (place: Place) => number): Place {
  let best: Place | undefined
  let least = Infinity
  let ties = 0
  for (const place of places) {
    const value = score(place)
    if (value > least) continue
    ties = value < least ? 1 : ties + 1
    if (ties === 1 || random() < 1 / ties) best = place
    least = value
  }
  if (best === undefined) throw new Error('no engine is up')
  return best
}

/** Least in flight: `leastconn`, `least_conn`. */
export class LeastInFlight implements Router {
  readonly #random: () => number

  constructor(random: () => number) {
    this.#random = random
  }

  choose(_request: RoutedRequest, places: readonly Place[]): Place {
    return lowest(places, this.#random, ({ own }) => own)
  }
}

/**
 * A consistent hash of the first 1,024 characters with bounded load: the first engine in the order of the hash that has at most
 * 1.25 times its share of the requests in flight.
 */
export class PrefixHash implements Router {
  choose({ session, turn }: RoutedRequest, places: readonly Place[]): Place {
    const key = turn.prompt.chain.numbers[0] ?? session.conversation
    const inFlight = places.reduce((sum, { own }) => sum + own, 0)
    const bound = Math.ceil((1.25 * (inFlight + 1)) / places.length)
    const order = places.toSorted((a, b) => mixed(key, a.index) - mixed(key, b.index))
    return order.find(({ own }) => own < bound) ?? order[0]!
  }
}

function mixed(key: number, index: number): number {
  let bits = ((key % 2 ** 32) ^ Math.floor(key / 2 ** 32) ^ Math.imul(index + 1, 0x9e3779b1)) >>> 0
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return (bits ^ (bits >>> 16)) >>> 0
}

/**
 * `cache_aware` of smg over HTTP: a tree of all texts says who had the longest beginning of this one last. If that is more than
 * half of the text, it gets it; else, and while loads are far apart, the engine with the least in flight.
 */
export class CacheAware implements Router {
  static readonly threshold = 0.5
  static readonly balanceAbsolute = 32
  static readonly balanceRelative = 1.1
  readonly #random: () => number
  readonly #lastAt = new Map<Passage, Place>()

  constructor(random: () => number) {
    this.#random = random
  }

  choose({ turn: { prompt } }: RoutedRequest, places: readonly Place[]): Place {
    const place = this.#choose(prompt, places)
    for (const passage of prompt.path) this.#lastAt.set(passage, place)
    return place
  }

  #choose(prompt: Passage, places: readonly Place[]): Place {
    const loads = places.map(({ own }) => own)
    const [least, most] = [Math.min(...loads), Math.max(...loads)]
    const isBalanced = most - least <= CacheAware.balanceAbsolute || most <= CacheAware.balanceRelative * least
    const known = prompt.path.findLast((passage) => this.#lastAt.has(passage))
    if (isBalanced && known && known.end > CacheAware.threshold * prompt.end) {
      const place = this.#lastAt.get(known)!
      if (places.includes(place)) return place
    }
    return lowest(places, this.#random, ({ own }) => own)
  }
}

/** The same score as ours, with the true cache, queue and speed of each engine: about what could be had. */
export class AllKnowing implements Router {
  readonly #random: () => number

  constructor(random: () => number) {
    this.#random = random
  }

  choose({ turn: { prompt, replyTokens } }: RoutedRequest, places: readonly Place[]): Place {
    return lowest(places, this.#random, ({ engine }) => {
      const uncached = engine.uncachedCharacters(prompt)
      const load = engine.running + engine.waiting
      const characters = engine.uncachedAhead + 2 * uncached * (load + 1)
      const prefill = engine.prefillSlowness * PREFILL_SECONDS_PER_CHARACTER * characters
      return prefill + engine.decodeSlowness * replyTokens * stepSeconds(load + 1)
    })
  }
}
