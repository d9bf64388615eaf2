import type { NodeSpec } from './address.ts'
import { retryAfterSeconds } from '../base/retryAfter.ts'
import { Contact, Health } from './health.ts'
import type { EngineLoad } from './engines/engineLoad.ts'
import type { ContainerInfo, NodeInfo } from './info.ts'
import type { NodeLoad } from './load/nodeLoad.ts'
import type { EntryDefaults, ModelEntry } from './modelList.ts'
import { Cooldowns, type RateLimitHeaders } from './politeness.ts'
import { PrefixTrials } from './prefixTrials.ts'
import { ServiceModels } from './serviceModels.ts'

/** How a node has served us so far, for operators. */
export interface NodeCounts {
  requests: number
  errors: number
  /** Moving mean of the time to the first byte of an answer, seconds. */
  responseSeconds: number
  /** Times that it was set aside for a kind of work, because it answered that worse than its siblings. */
  setAsides: number
}

/** Longest reason that is kept for a failure, characters. */
const MOST_REASON = 300
const RESPONSE_MEAN_WEIGHT = 0.1

const NO_MODELS = new ServiceModels({ models: [] }, { ownedBy: '', created: 0 })

/** One backend and all that is known of it. */
export class TrackedNode {
  spec: NodeSpec
  readonly key: string
  readonly load: NodeLoad
  /** What its models' entries say where it leaves something out: its name, and since when it is listed. */
  readonly entryDefaults: EntryDefaults
  readonly health = new Health()
  readonly contact = new Contact()
  readonly counts: NodeCounts = { requests: 0, errors: 0, responseSeconds: 0, setAsides: 0 }
  /** What `/info` said last; kept while the node is unhealthy. */
  info: NodeInfo | undefined
  /** Containers by id, of the last `/info`. */
  containers: ReadonlyMap<string, ContainerInfo> = new Map()
  /** Models of an OpenAI-compatible service; of a node, none. */
  models: ServiceModels
  /** Path prefix of a service's calls: `/v1`, or empty where only `/models` answered. */
  prefix = '/v1'
  /** Finds the prefix where no list tells it. */
  readonly prefixTrials = new PrefixTrials()
  /** The load that a service's `/metrics` last reported; undefined where it reports none, or not lately. */
  engineLoad: EngineLoad | undefined
  /** Requests that are open at this node right now. */
  inFlight = 0
  /** True after the first poll has ended, well or not. */
  isKnown = false
  /** Why it is unhealthy, for logs and `/stats`. */
  reason: string | undefined
  /** Why it takes no work by its own report (`POST /worker_status/`), whatever its polls say; undefined where it does. */
  notReady: string | undefined
  /** Since when it is unhealthy, monotonic seconds; undefined while it is healthy or has not been polled. */
  downSince: number | undefined
  /** When its last poll began, monotonic seconds. */
  askedAt: number | undefined
  /** The last contact was refused: nothing listens there. */
  isRefusing = false
  /** When it was last refused, monotonic seconds. */
  refusedAt = -Infinity
  /** That some of what it lists is left out was told. */
  hasToldLeftOut = false
  /** It is to get no new work by an operator's command, whatever its list says. */
  isDrainedByHand = false
  /** Taken out of every list: gets no new work, its jobs are followed to their end. */
  isRetired = false
  /** Several nodes answer in turn here, so that a job may be unknown without being lost. */
  answersInTurn = false
  /** Address of our own side of the sockets to this node, as the node sees us unless something translates it. */
  localAddress: string | undefined
  /** When any part of an answer to a request came from it last, monotonic ms. Polls are not counted. */
  heardAtMs = -Infinity
  readonly #cooldowns = new Cooldowns()

  constructor(spec: NodeSpec, load: NodeLoad) {
    this.spec = spec
    this.key = spec.key
    this.load = load
    this.entryDefaults = { ownedBy: spec.name, created: Math.floor(Date.now() / 1000) }
    this.models = spec.kind === 'openai' ? new ServiceModels(spec, this.entryDefaults) : NO_MODELS
  }

  /** Takes over what a list says of it now. What that says of models counts at once, before the next poll. */
  respecify(spec: NodeSpec): void {
    this.spec = spec
    if (spec.kind === 'openai') this.models = this.models.under(spec)
  }

  /** Something came from it: an answer to a poll or to a request. */
  answered(): void {
    this.isRefusing = false
    this.contact.answered()
  }

  /** A contact failed; whether because nothing listens there. `now`: monotonic seconds. */
  refused(isRefusing: boolean, now: number): void {
    this.isRefusing = isRefusing
    if (isRefusing) this.refusedAt = now
  }

  get name(): string {
    return this.spec.name
  }

  get isInfernet(): boolean {
    return this.spec.kind === 'infernet'
  }

  /** It is to get no new work, by its list or by hand; what it has already goes on. */
  get isDraining(): boolean {
    return this.spec.drain === true || this.isDrainedByHand
  }

  /** Listed, and to be given work while it is healthy. */
  get isInService(): boolean {
    return !this.isRetired && !this.isDraining
  }

  /** It may get new work, or where it is ejected, trials. */
  get takesWork(): boolean {
    return this.isReachable && !this.isDraining
  }

  /** Its polls go well, it has not reported otherwise, and it is listed. */
  get isReachable(): boolean {
    return this.health.isHealthy && this.notReady === undefined && !this.isRetired
  }

  /** True when it may be shown as healthy: reachable, and not ejected for failing traffic. */
  isHealthy(now: number): boolean {
    return this.isReachable && !this.load.isEjected(now)
  }

  /** It answers as it should. */
  cameUp(): void {
    this.reason = undefined
    this.downSince = undefined
  }

  /** It failed a poll, or refused a connection. Returns whether it counts as unhealthy from now on, and did not before. */
  sawFailure(reason: string, now: number): boolean {
    this.reason = reason.slice(0, MOST_REASON)
    const flipped = this.health.observe(false)
    if (!this.health.isHealthy) this.downSince ??= now
    return flipped
  }

  /** Unfinished jobs or requests there by its own count at the last poll; 0 where it tells none. */
  get pending(): number {
    if (this.engineLoad) return this.engineLoad.running + this.engineLoad.waiting
    return this.info ? this.info.pending.offchain + this.info.pending.onchain : 0
  }

  /** Takes over what a service said of its models. Returns whether other requests can go there now. */
  learnModels(reported: readonly ModelEntry[] | undefined, prefix: string): boolean {
    const models = this.models.reporting(this.spec, reported)
    const isSame = prefix === this.prefix && models.hasSameNames(this.models)
    this.models = models
    this.prefix = prefix
    return !isSame
  }

  /** A service answered a call on a path that all services of its kind have; `body` where it was read. */
  callAnswered(status: number, body?: Buffer): void {
    const { prefixTrials } = this
    if (!prefixTrials.isOpen || !prefixTrials.answered(this.prefix, status, body)) return
    this.prefix = prefixTrials.guess(this.spec) ?? this.prefix
  }

  /** After a pushback: no more of this (endpoint and caller) until `until`, seconds. */
  coolDown(what: string, until: number, now: number): void {
    this.#cooldowns.set(what, until, now)
  }

  /** It answered 429: leaves `what` alone for as long as it asks. Returns that in seconds. */
  pushedBack(what: string, headers: RateLimitHeaders, now: number): number {
    const seconds = retryAfterSeconds(headers)
    this.coolDown(what, now + seconds, now)
    return seconds
  }

  /** Seconds that `what` still has to cool down here; 0 when it may be tried. */
  cooldownSeconds(what: string, now: number): number {
    return this.#cooldowns.secondsLeft(what, now)
  }

  /** Until when it is left alone after 429s, with some of its work at least, seconds; undefined where it is not. */
  restsUntil(now: number): number | undefined {
    const until = this.#cooldowns.latestEnd
    return until > now ? until : undefined
  }

  responded(seconds: number): void {
    const { counts } = this
    counts.responseSeconds +=
      counts.responseSeconds === 0 ? seconds : RESPONSE_MEAN_WEIGHT * (seconds - counts.responseSeconds)
  }
}
