import type { WorkKind } from '../../fleet/load/kinds.ts'
import { WARM_CACHE_CONSTANTS, type WarmCacheConstants } from './constants.ts'
import { homeCost, homeSeed, OtherGateways } from './otherGateways.ts'
import { indexCapacity } from './prefixIndex.ts'
import type { Prompt } from './prompt.ts'
import { FleetRates } from './rates.ts'
import { ServiceCache, type CacheUse } from './serviceCache.ts'

/** What choosing by caches asks of a service. All times are monotonic seconds. */
export interface CachedService {
  /** The same at all gateways. */
  readonly key: string
  /** When it was last found to take no connections. */
  readonly refusedAt: number
  readonly load: {
    /** Our requests there. */
    readonly inFlight: number
    /** Requests there (`L`). */
    load(now: number): number
    /** What `seconds` become by all that stands against it; see `NodeLoad.withPenalties`. */
    withPenalties(seconds: number, now: number, kind?: WorkKind): number
  }
}

export interface WarmContext<Service> {
  readonly now: number
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** The kind of work, where something was learnt of that. */
  readonly kind?: WorkKind | undefined
  /** Leaves candidates out. */
  readonly allows?: ((candidate: Service) => boolean) | undefined
}

/** A candidate, or the one that was chosen. */
export interface WarmCandidate<Service> {
  readonly service: Service
  /** The lowest wins. Seconds. */
  readonly score: number
  /** Characters of the prompt that are thought to be in its cache. */
  readonly warmCharacters: number
}

export interface WarmCachesOptions {
  /** Monotonic seconds. */
  readonly now: () => number
  /** False for benchmarks: the same score, but nothing is ever known to be in a cache. */
  readonly usesIndex?: boolean
  readonly constants?: WarmCacheConstants
}

/** A service's cache, and what is reckoned of its name once. */
interface Entry {
  readonly cache: ServiceCache
  readonly seed: number
  /** The last refusal that emptied the cache. */
  refusedAt: number
}

/** What is known of the prefix caches of all services, and so where a prompt is answered with least work. */
export class WarmCaches<Service extends CachedService> {
  readonly rates: FleetRates
  readonly #constants: WarmCacheConstants
  readonly #now: () => number
  readonly #usesIndex: boolean
  readonly #others: OtherGateways<Service>
  readonly #entries = new Map<Service, Entry>()

  constructor({ now, usesIndex = true, constants = WARM_CACHE_CONSTANTS }: WarmCachesOptions) {
    this.#constants = constants
    this.#now = now
    this.#usesIndex = usesIndex
    this.#others = new OtherGateways(constants)
    this.rates = new FleetRates(constants)
  }

  /** The candidate with the lowest score, ties at random; undefined where none is allowed. */
  choose(
    candidates: readonly Service[],
    prompt: Prompt,
    context: WarmContext<Service>,
  ): WarmCandidate<Service> | undefined {
    const { now, random, kind, allows } = context
    const home = this.#homeOf(candidates, prompt, context)
    let service: Service | undefined
    let score = Infinity
    let warmCharacters = 0
    let ties = 0
    for (const candidate of candidates) {
      if (allows && !allows(candidate)) continue
      const { cache } = this.#entryOf(candidate)
      const warm = this.#warmAt(cache, prompt, candidate === home)
      const its = this.#scoreOf(candidate, cache, prompt.chain.length - warm, now, kind)
      if (its < score) ties = 1
      else if (its !== score || random() * ++ties >= 1) continue
      service = candidate
      score = its
      warmCharacters = warm
    }
    return service && { service, score, warmCharacters }
  }

  /** All candidates that are allowed with their scores, best first; for people. */
  ranked(candidates: readonly Service[], prompt: Prompt, context: WarmContext<Service>): WarmCandidate<Service>[] {
    const { now, kind, allows } = context
    const home = this.#homeOf(candidates, prompt, context)
    const allowed = allows ? candidates.filter(allows) : candidates
    const ranked = allowed.map((service) => {
      const { cache } = this.#entryOf(service)
      const warmCharacters = this.#warmAt(cache, prompt, service === home)
      const score = this.#scoreOf(service, cache, prompt.chain.length - warmCharacters, now, kind)
      return { service, score, warmCharacters }
    })
    return ranked.sort((a, b) => a.score - b.score)
  }

  /**
   * The prompt is about to be sent to a service; told before its place there is taken.
   *
   * @param warmCharacters what `choose` told of it; default: what is in the index
   */
  begin(service: Service, prompt: Prompt, warmCharacters?: number): CacheUse {
    const { cache } = this.#entryOf(service)
    return cache.begin(prompt, warmCharacters ?? cache.warmCharacters(prompt))
  }

  /** A poll showed so many requests there, `own` of them ours. */
  polled(service: Service, requests: number, own: number): void {
    this.#others.observed(service, requests, own)
  }

  /** The service is down: when it is back, its cache is empty. */
  wentDown(service: Service): void {
    this.#others.forget(service)
    this.#entries.get(service)?.cache.reset()
  }

  /** No list names it any more. */
  left(service: Service): void {
    this.#others.forget(service)
    if (this.#entries.delete(service)) this.#resizeIndexes()
  }

  #entryOf(service: Service): Entry {
    const entry = this.#entries.get(service) ?? this.#add(service)
    // An engine that restarts fast is never down: that nothing listened for a moment tells.
    if (entry.refusedAt !== service.refusedAt) {
      entry.refusedAt = service.refusedAt
      entry.cache.reset()
    }
    return entry
  }

  #add(service: Service): Entry {
    const { rates } = this
    const capacity = this.#capacityFor(this.#entries.size + 1)
    const cache = new ServiceCache({ rates, now: this.#now }, service.load, capacity)
    const entry = { cache, seed: homeSeed(service.key), refusedAt: service.refusedAt }
    this.#entries.set(service, entry)
    this.#resizeIndexes()
    return entry
  }

  #resizeIndexes(): void {
    const capacity = this.#capacityFor(this.#entries.size)
    for (const { cache } of this.#entries.values()) cache.resizeIndex(capacity)
  }

  #capacityFor(services: number): number {
    return this.#usesIndex ? indexCapacity(services, this.#constants) : 0
  }

  /** Characters of the prompt that its cache should have, by what went through us or, at its home, through other gateways. */
  #warmAt(cache: ServiceCache, prompt: Prompt, isHome: boolean): number {
    const warm = cache.warmCharacters(prompt)
    return isHome ? Math.max(warm, Math.floor(this.#others.share * prompt.historyCharacters)) : warm
  }

  #scoreOf(service: Service, cache: ServiceCache, cold: number, now: number, kind: WorkKind | undefined): number {
    const least = this.#constants.leastColdCharacters
    const seconds = cache.score(Math.max(least, cold), service.load.load(now), now)
    return service.load.withPenalties(seconds, now, kind)
  }

  /** Where turns of the conversation that came through other gateways are thought to have gone; undefined where there are none. */
  #homeOf(
    candidates: readonly Service[],
    { conversation, historyCharacters }: Prompt,
    { allows }: WarmContext<Service>,
  ): Service | undefined {
    if (historyCharacters === 0 || !this.#usesIndex || this.#others.share === 0) return undefined
    let home: Service | undefined
    let least = Infinity
    for (const candidate of candidates) {
      if (allows && !allows(candidate)) continue
      const { cache, seed } = this.#entryOf(candidate)
      const cost = homeCost(conversation, seed, cache.prefillSeconds)
      if (cost >= least) continue
      least = cost
      home = candidate
    }
    return home
  }
}
