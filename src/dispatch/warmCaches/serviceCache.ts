import type { WorkOutcome } from '../../fleet/load/work.ts'
import { WARM_CACHE_CONSTANTS } from './constants.ts'
import { PrefixIndex } from './prefixIndex.ts'
import { PIECE_CHARACTERS, type PrefixChain } from './prefixChain.ts'
import type { Prompt } from './prompt.ts'
import { ServiceRates, type FleetRates } from './rates.ts'
import { warmScore, type WarmState } from './warmScore.ts'

/** What a request tells of the cache of the service that it was sent to. */
export interface CacheUse {
  /** Characters of the prompt that were thought to be in the cache when the service was chosen. */
  readonly warmCharacters: number
  /** Where the answer is read on into the prompt's chain; asked once, at a successful end. */
  reply: Reply | undefined
  /** The first piece of a streamed answer's body has come; later calls do nothing. */
  firstToken(): void
  /** The request has ended; called by its lease alone, after its place was given back. `now`: monotonic seconds. */
  ended(outcome: WorkOutcome, now: number): void
}

/** An answer that was watched. */
interface Reply {
  /** The prompt's chain and, behind it, the answer as the next turn will repeat it; undefined where that was not to be seen. */
  chain(): PrefixChain | undefined
}

/** What caches of all services share. */
export interface CacheFleet {
  readonly rates: FleetRates
  /** Monotonic seconds. */
  readonly now: () => number
}

/** What is known of one service's prefix cache, of what it has to prefill, and of how fast it does. */
export class ServiceCache implements WarmState {
  readonly #fleet: CacheFleet
  /** Our requests there. */
  readonly #load: { readonly inFlight: number }
  readonly #index: PrefixIndex
  #rates: ServiceRates
  #prefilling = 0
  /** Requests that are counted in `prefilling` until their prefill must be over, since the first token is not observable; oldest first. */
  readonly #unseen = new Set<PromptUse>()
  /** How often the service began anew. */
  #life = 0

  constructor(fleet: CacheFleet, load: { readonly inFlight: number }, capacity: number) {
    this.#fleet = fleet
    this.#load = load
    this.#index = new PrefixIndex(capacity)
    this.#rates = new ServiceRates(fleet.rates)
  }

  /** `p`, seconds per character. */
  get prefillSeconds(): number {
    return this.#rates.prefillSeconds
  }

  /** `q`, seconds per request. */
  get decodeSeconds(): number {
    return this.#rates.decodeSeconds
  }

  /** `B` as of the last `score` or `begin`, characters. */
  get prefilling(): number {
    return this.#prefilling
  }

  /** Numbers in the index. */
  get indexSize(): number {
    return this.#index.size
  }

  /** Takes over how many numbers its index may hold. */
  resizeIndex(capacity: number): void {
    this.#index.resize(capacity)
  }

  /** How many of the prompt's first characters are thought to be in the cache. */
  warmCharacters({ chain, isNamedSession, conversation }: Prompt): number {
    const depth = this.#index.depthOf(chain.numbers)
    if (depth > 0) return depth * PIECE_CHARACTERS
    // What is too short for a number of its own is known by its session.
    return isNamedSession && this.#index.has(conversation) ? Math.min(chain.length, PIECE_CHARACTERS - 1) : 0
  }

  /** Seconds that one more request costs here; see `warmScore`. */
  score(cold: number, load: number, now: number): number {
    this.#forgetPrefilled(now)
    return warmScore(this, cold, load, this.#fleet.rates.baseRequests)
  }

  /**
   * The prompt is about to be sent there. To be called before its place is taken, so that it does not count itself.
   *
   * @param warm characters of it that are in the index
   * @param believedCold characters to prefill; an impossible number counts as all, since it would spoil all that is learnt here
   */
  begin(prompt: Prompt, warm: number, believedCold: number): CacheUse {
    const { leastColdCharacters, firstTokenCharacters } = WARM_CACHE_CONSTANTS
    const { chain, conversation, isNamedSession, isStreamed } = prompt
    const mostNumbers = this.#mostUnanswered
    this.#index.add(chain.numbers, mostNumbers)
    if (isNamedSession && chain.length < PIECE_CHARACTERS) this.#index.addOne(conversation)
    const at = this.#fleet.now()
    this.#forgetPrefilled(at)
    const most = Math.max(leastColdCharacters, chain.length)
    const cold = believedCold <= most ? Math.max(leastColdCharacters, believedCold) : most
    const ahead = this.#prefilling + cold + firstTokenCharacters
    const begun = { warmCharacters: warm, cold, ahead, at, own: this.#load.inFlight, life: this.#life, isStreamed }
    const use = new PromptUse(this, begun, chain.numbers.length > mostNumbers ? chain : undefined)
    this.#prefilling += cold
    if (!isStreamed) {
      use.prefilledAt = at + this.prefillSeconds * ahead
      this.#unseen.add(use)
    }
    return use
  }

  /** It was down: its cache is empty, and it may be another engine. */
  reset(): void {
    this.#life++
    this.#index.clear()
    this.#rates = new ServiceRates(this.#fleet.rates)
  }

  /** Internal to PromptUse. */
  now(): number {
    return this.#fleet.now()
  }

  /** Internal to PromptUse: nothing of it is left to prefill. */
  prefilled(use: PromptUse): void {
    this.#prefilling -= use.cold
    this.#unseen.delete(use)
  }

  /** Internal to PromptUse. */
  sawFirstToken(use: PromptUse, now: number): void {
    if (use.life !== this.#life) return
    this.#rates.firstToken(now - use.at, use.ahead)
    this.#addUnindexed(use)
  }

  /** Internal to PromptUse: a request was served to its end. */
  served(use: PromptUse, now: number): void {
    const { firstTokenAt, reply } = use
    if (use.life !== this.#life) return
    const requests = (use.own + this.#load.inFlight) / 2 + WARM_CACHE_CONSTANTS.decodeBaseRequests
    if (firstTokenAt !== undefined) this.#rates.streamed(now - firstTokenAt, requests)
    else if (!use.isStreamed) this.#rates.answeredWhole(now - use.at, use.ahead, requests)
    const chain = reply?.chain()
    if (chain) this.#index.add(chain.numbers)
    else this.#addUnindexed(use)
  }

  /** Numbers of a prompt that are added before there is an answer. */
  get #mostUnanswered(): number {
    return Math.max(1, Math.floor(this.#index.capacity * WARM_CACHE_CONSTANTS.unansweredRatio))
  }

  #addUnindexed(use: PromptUse): void {
    if (use.unindexed) this.#index.add(use.unindexed.numbers)
    use.unindexed = undefined
  }

  #forgetPrefilled(now: number): void {
    if (this.#unseen.size === 0) return
    for (const use of this.#unseen) {
      if (use.prefilledAt > now) return
      use.endPrefill()
    }
  }
}

/** A request as it was when its service was chosen. */
type Begun = Pick<PromptUse, 'warmCharacters' | 'cold' | 'ahead' | 'at' | 'own' | 'life' | 'isStreamed'>

/** One prompt at one service. */
class PromptUse implements CacheUse {
  readonly warmCharacters: number
  /** Characters of it to prefill. */
  readonly cold: number
  /** Characters to prefill before its first token comes, its own among them. */
  readonly ahead: number
  /** Monotonic seconds. */
  readonly at: number
  /** Our other requests there. */
  readonly own: number
  readonly life: number
  readonly isStreamed: boolean
  reply: Reply | undefined
  /** When the first token came, monotonic seconds; undefined where none was seen. */
  firstTokenAt: number | undefined
  /** The prompt's chain, until all of it is in the index. */
  unindexed: PrefixChain | undefined
  /** When its prefill must be over, monotonic seconds, where the first token is not observable. */
  prefilledAt = Infinity
  readonly #cache: ServiceCache
  #isPrefilling = true
  #hasEnded = false

  constructor(cache: ServiceCache, begun: Begun, unindexed: PrefixChain | undefined) {
    this.#cache = cache
    this.warmCharacters = begun.warmCharacters
    this.cold = begun.cold
    this.ahead = begun.ahead
    this.at = begun.at
    this.own = begun.own
    this.life = begun.life
    this.isStreamed = begun.isStreamed
    this.unindexed = unindexed
  }

  firstToken(): void {
    if (this.firstTokenAt !== undefined || this.#hasEnded || !this.isStreamed) return
    this.firstTokenAt = this.#cache.now()
    this.endPrefill()
    this.#cache.sawFirstToken(this, this.firstTokenAt)
  }

  ended(outcome: WorkOutcome, now: number): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.endPrefill()
    if (outcome === 'success') this.#cache.served(this, now)
    this.reply = undefined
    this.unindexed = undefined
  }

  endPrefill(): void {
    if (!this.#isPrefilling) return
    this.#isPrefilling = false
    this.#cache.prefilled(this)
  }
}
