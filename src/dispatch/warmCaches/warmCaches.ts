import { WARM_CACHE_CONSTANTS } from './constants.ts'
import { homeCost, homeSeed, OtherGateways } from './otherGateways.ts'
import { PIECE_CHARACTERS } from './prefixChain.ts'
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
    /** Requests that it runs at once, where its operator says so. */
    readonly toldConcurrency?: number | undefined
    /** What `seconds` become by all that stands against it; see `NodeLoad.withPenalties`. */
    withPenalties(seconds: number, now: number): number
  }
}

export interface WarmContext<Service> {
  readonly now: number
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** Leaves candidates out. */
  readonly allows?: ((candidate: Service) => boolean) | undefined
}

/** A candidate, or the one that was chosen. */
export interface WarmCandidate<Service> {
  readonly service: Service
  /** The lowest wins. Seconds. */
  readonly score: number
  /** First characters of the prompt that are in its index. */
  readonly warmCharacters: number
  /** Characters of the prompt that it has to prefill (`u`), also by the guess that it is the home of the conversation. */
  readonly coldCharacters: number
}

export interface WarmCachesOptions {
  /** Monotonic seconds. */
  readonly now: () => number
  /** False for benchmarks: the same score, but nothing is ever known to be in a cache. */
  readonly usesIndex?: boolean
  /** Other gateways that are known to share the clients; default: none. */
  readonly siblings?: (() => number) | undefined
}

/** Loads that differ by this many requests count as the same: the part of others in them is an estimate. */
const SAME_LOAD_REQUESTS = 0.5

interface Scored<Service> extends WarmCandidate<Service> {
  readonly load: number
  /** It has as many requests as its operator says that it runs at once. */
  readonly isFull: boolean
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
  readonly rates = new FleetRates()
  readonly #now: () => number
  readonly #usesIndex: boolean
  readonly #others: OtherGateways<Service>
  readonly #entries = new Map<Service, Entry>()

  constructor({ now, usesIndex = true, siblings }: WarmCachesOptions) {
    this.#others = new OtherGateways(siblings)
    this.#now = now
    this.#usesIndex = usesIndex
  }

  /**
   * The candidate with the lowest score, ties at random; undefined where none is allowed. One that is full only if all are. A session
   * that is found by its name alone stays where it was, as long as that costs next to nothing.
   */
  choose(
    candidates: readonly Service[],
    prompt: Prompt,
    context: WarmContext<Service>,
  ): WarmCandidate<Service> | undefined {
    const { random, allows } = context
    const home = this.#homeOf(candidates, prompt, context)
    let best: Scored<Service> | undefined
    let atSession: Scored<Service> | undefined
    let ties = 0
    for (const candidate of candidates) {
      if (allows && !allows(candidate)) continue
      const its = this.#scored(candidate, prompt, home, context)
      if (isKnownByName(prompt, its) && (!atSession || inOrder(its, atSession) < 0)) atSession = its
      const order = best ? inOrder(its, best) : -1
      if (order < 0) ties = 1
      else if (order > 0 || random() * ++ties >= 1) continue
      best = its
    }
    return atSession && best && this.#mayStay(atSession, best) ? atSession : best
  }

  /** All candidates that are allowed with their scores, best first; for people. */
  ranked(candidates: readonly Service[], prompt: Prompt, context: WarmContext<Service>): WarmCandidate<Service>[] {
    const { allows } = context
    const home = this.#homeOf(candidates, prompt, context)
    const allowed = allows ? candidates.filter(allows) : candidates
    return allowed.map((candidate) => this.#scored(candidate, prompt, home, context)).sort(inOrder)
  }

  /**
   * The prompt is about to be sent to a service. To be called before its place there is taken.
   *
   * @param chosen what `choose` returned for it; default: what is in the index
   */
  begin(service: Service, prompt: Prompt, chosen?: WarmCandidate<Service>): CacheUse {
    const { cache } = this.#entryOf(service)
    if (chosen) return cache.begin(prompt, chosen.warmCharacters, chosen.coldCharacters)
    const warm = cache.warmCharacters(prompt)
    return cache.begin(prompt, warm, prompt.chain.length - warm)
  }

  /** A poll reported this number of requests there, `own` of them ours. */
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
    return this.#usesIndex ? indexCapacity(services) : 0
  }

  #scored(service: Service, prompt: Prompt, home: Service | undefined, { now }: WarmContext<Service>): Scored<Service> {
    const { cache } = this.#entryOf(service)
    const warmCharacters = cache.warmCharacters(prompt)
    let believed = warmCharacters
    if (service === home) believed = Math.max(believed, Math.floor(this.#others.share * prompt.historyCharacters))
    const coldCharacters = Math.max(WARM_CACHE_CONSTANTS.leastColdCharacters, prompt.chain.length - believed)
    const load = service.load.load(now)
    const score = service.load.withPenalties(cache.score(coldCharacters, load, now), now)
    // The load is an estimate with fractions: half a request of others does not fill a place.
    const isFull = Math.round(load) + 1 > (service.load.toldConcurrency ?? Infinity)
    return { service, score, warmCharacters, coldCharacters, load, isFull }
  }

  #mayStay(atSession: Scored<Service>, best: Scored<Service>): boolean {
    return (
      atSession.isFull === best.isFull &&
      // Where the operator says how many it takes, its room is known; else it must not be busier.
      (atSession.service.load.toldConcurrency !== undefined || atSession.load <= best.load + SAME_LOAD_REQUESTS) &&
      atSession.score <= WARM_CACHE_CONSTANTS.sessionScoreRatio * best.score
    )
  }

  /**
   * Where turns of the conversation that came through other gateways are thought to have gone; undefined where there are none, or
   * where our own index has the history at one of the candidates.
   */
  #homeOf(candidates: readonly Service[], prompt: Prompt, { allows }: WarmContext<Service>): Service | undefined {
    const { conversation, historyCharacters } = prompt
    if (historyCharacters === 0 || !this.#usesIndex || this.#others.share === 0) return undefined
    let home: Service | undefined
    let least = Infinity
    for (const candidate of candidates) {
      if (allows && !allows(candidate)) continue
      const { cache, seed } = this.#entryOf(candidate)
      // What we know of our own sending is worth more than a guess.
      const warm = cache.warmCharacters(prompt)
      if (warm > 0 && warm + PIECE_CHARACTERS > historyCharacters) return undefined
      const cost = homeCost(conversation, seed, cache.prefillSeconds)
      if (cost >= least) continue
      least = cost
      home = candidate
    }
    return home
  }
}

function inOrder(a: Scored<unknown>, b: Scored<unknown>): number {
  return Number(a.isFull) - Number(b.isFull) || a.score - b.score
}

/** Whether the prompt is too short to be found again, and only its session's name was there before. */
function isKnownByName({ isNamedSession }: Prompt, { warmCharacters }: Scored<unknown>): boolean {
  return isNamedSession && warmCharacters > 0 && warmCharacters < PIECE_CHARACTERS
}
