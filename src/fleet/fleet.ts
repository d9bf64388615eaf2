import { EventEmitter } from 'node:events'
import { Fifo } from '../fifo.ts'
import { nextTurn } from '../turns.ts'
import { sameService, type NodeKind, type NodeSpec } from './address.ts'
import { ConflictWatch, type ImageConflict, type ImageConflicts } from './conflicts.ts'
import { sameContainers, type LeftOut, type NodeInfo } from './info.ts'
import { DEFAULT_CONSTANTS, type PolicyConstants } from './load/constants.ts'
import { FleetLoad } from './load/fleetLoad.ts'
import { NodeLoad } from './load/nodeLoad.ts'
import { TrackedNode } from './node.ts'
import { Poller, PollLimits } from './poller.ts'
import { isSilence, Prober, type ProberOptions, type ProbeResult } from './probe.ts'
import { Readiness } from './readiness.ts'
import type { NodeSource } from './sources/source.ts'

/** What a poll said is up to date for so long, at least; in large fleets for longer, so that polls on demand stay cheap. */
const FRESH_SECONDS = 1
const MOST_FRESH_POLLS_PER_SECOND = 200
const POLL_TIMEOUT_SECONDS = 3
/** For so long after a poll that nobody answered, the node is not known yet: who asked at the start hears that, not that nobody is there. */
const SILENCE_SECONDS = 1

/** Pollers that are started in one turn of the event loop. */
const STARTS_A_TURN = 32
/** Longest reason that is kept for a failure, characters. */
const MOST_REASON = 300

export interface FleetOptions extends Omit<ProberOptions, 'timeoutSeconds'> {
  readonly sources: readonly NodeSource[]
  /** Seconds between two polls of a node. */
  readonly refreshIntervalSeconds: number
  readonly constants?: PolicyConstants
  /** Monotonic seconds. */
  readonly now?: () => number
}

/** What the fleet tells whoever listens. */
export interface FleetEvents {
  'node:up': [node: TrackedNode]
  'node:down': [node: TrackedNode, reason: string]
  'node:added': [node: TrackedNode]
  'node:removed': [node: TrackedNode]
  'node:ejected': [node: TrackedNode, reason: string]
  /** Several nodes answer in turn at its address, or no longer do. */
  'node:in-turn': [node: TrackedNode, isInTurn: boolean]
  /** It lists ids that are too long, or too many; told once for each node. */
  'node:leftOut': [node: TrackedNode, leftOut: LeftOut]
  /** This machine lacks what a connection needs; told once until all nodes can be asked again. */
  'polls:blocked': [reason: string]
  'image:conflict': [conflict: ImageConflict]
  /** So many more conflicts were found, too many to tell each. */
  'image:conflicts': [more: number]
}

/**
 * Who the backends are and how they are: merges what the sources list, polls everyone, keeps what is known of those that stay.
 * Knows nothing of requests; see `Selector` for who gets one.
 */
export class Fleet extends EventEmitter<FleetEvents> {
  /** Listed nodes by key, in the order of the sources. */
  readonly nodes = new Map<string, TrackedNode>()
  /** What backends of one kind know together: a chat answer says nothing about how long jobs take. */
  readonly loads: Readonly<Record<NodeKind, FleetLoad>>
  readonly now: () => number
  /** Rises whenever who can do what may have changed. */
  version = 0
  readonly #options: FleetOptions
  readonly #lists = new Map<NodeSource, readonly NodeSpec[]>()
  readonly #pollers = new Map<TrackedNode, Poller>()
  readonly #prober: Prober
  readonly #limits = new PollLimits()
  readonly #retired = new Map<string, TrackedNode>()
  readonly #conflicts = new ConflictWatch(() => this.nodes.values(), {
    found: (conflict) => this.emit('image:conflict', conflict),
    foundMore: (count) => this.emit('image:conflicts', count),
  })
  /** Those whose last poll this machine could not make. */
  readonly #unasked = new Set<TrackedNode>()
  readonly #readiness = new Readiness()
  /** Pollers that are still to be started. */
  readonly #starting = new Fifo<Poller>()

  constructor(options: FleetOptions) {
    super()
    this.#options = options
    this.now = options.now ?? (() => performance.now() / 1000)
    const { constants = DEFAULT_CONSTANTS } = options
    this.loads = { infernet: new FleetLoad(constants), openai: new FleetLoad(constants) }
    this.#prober = new Prober({ ...options, timeoutSeconds: POLL_TIMEOUT_SECONDS })
  }

  /** Starts all sources; resolves when each has delivered its first list or failed to. */
  async start(): Promise<void> {
    await Promise.all(
      this.#options.sources.map((source) =>
        source.start((specs) => {
          this.#lists.set(source, specs)
          this.#refresh()
        }),
      ),
    )
    this.#readiness.sourcesLoaded()
  }

  stop(): void {
    for (const source of this.#options.sources) source.stop()
    for (const poller of this.#pollers.values()) poller.stop()
    this.#conflicts.stop()
    this.#prober.close()
  }

  /** Reads all lists again at once. */
  reread(): void {
    for (const source of this.#options.sources) source.reread?.()
  }

  /** Container ids that stand for different images. */
  conflicts(): Promise<ImageConflicts> {
    return this.#conflicts.current()
  }

  /** True once there is someone healthy, or nobody left whose first poll has not ended. */
  get isReady(): boolean {
    return this.#readiness.isReady
  }

  /** Waits until `isReady`, but no longer than `seconds`. Returns whether it is. */
  whenReady(seconds: number): Promise<boolean> {
    return this.#readiness.wait(seconds)
  }

  /** Nodes that may be shown as healthy. */
  healthy(kind?: NodeKind): TrackedNode[] {
    const now = this.now()
    return [...this.nodes.values()].filter((node) => node.isHealthy(now) && (!kind || node.spec.kind === kind))
  }

  /** Nodes whose polls go well, those included that are set aside for failing traffic: what the fleet can do. */
  reachable(kind: NodeKind): TrackedNode[] {
    return [...this.nodes.values()].filter((node) => node.health.isHealthy && node.spec.kind === kind)
  }

  /** Origins of all nodes, those included that only have jobs left. */
  origins(): Set<string> {
    return new Set([...this.nodes.values(), ...this.#retired.values()].map((node) => node.spec.origin))
  }

  /** A node by key, also one that is no longer listed but still has jobs. */
  find(key: string): TrackedNode | undefined {
    return this.nodes.get(key) ?? this.#retired.get(key)
  }

  /** A retired stand-in for a node that no list names any more, so that its jobs of an earlier run can be followed. */
  adopt(spec: NodeSpec): TrackedNode {
    const known = this.find(spec.key)
    if (known) return known
    const node = this.#create(spec)
    node.isRetired = true
    this.#retired.set(node.key, node)
    return node
  }

  /** Forgets a retired node, once nothing of it is followed any more. */
  release(node: TrackedNode): void {
    if (this.#retired.get(node.key) !== node) return
    this.#retired.delete(node.key)
    node.load.forgetKinds()
  }

  /** Evidence from traffic: any answer at all. Only one that took work (no pushback, no look at jobs) shows that the node works. */
  answered(node: TrackedNode, { tookWork }: { tookWork: boolean }): void {
    const now = this.now()
    node.isRefusing = false
    node.contact.answered()
    if (tookWork) node.load.succeeded(now)
  }

  /** Evidence from traffic: refused, reset, silent or broken off. Brings the next poll forward, so that health follows soon. */
  failed(node: TrackedNode, reason: string, { refused = false, lost = false } = {}): void {
    const now = this.now()
    node.isRefusing = refused
    if (lost) node.contact.failed(now)
    const wasEjected = node.load.isEjected(now)
    node.load.failed(now)
    if (!wasEjected && node.load.isEjected(now)) this.emit('node:ejected', node, reason)
    if (refused) this.#sawFailure(node, reason)
    this.#pollers.get(node)?.pollSoon()
  }

  /** After look-ups: polls the node earlier where the policy wishes it. */
  reconsiderPoll(node: TrackedNode): void {
    const at = node.load.earlyPollAt(this.now())
    if (at !== undefined) this.#pollers.get(node)?.pollBy(at)
  }

  /** Polls again those of the nodes whose last poll is older than a second, and waits for that at most `seconds`. */
  async freshen(nodes: readonly TrackedNode[], seconds: number): Promise<void> {
    const maxAge = Math.max(FRESH_SECONDS, nodes.length / MOST_FRESH_POLLS_PER_SECOND)
    const polls = nodes.flatMap((node) => this.#pollers.get(node)?.fresh(maxAge) ?? [])
    if (polls.length === 0) return
    const late = Promise.withResolvers<void>()
    const timer = setTimeout(late.resolve, seconds * 1000)
    await Promise.race([Promise.all(polls), late.promise])
    clearTimeout(timer)
  }

  #refresh(): void {
    const specs = new Map<string, NodeSpec>()
    for (const source of this.#options.sources) {
      for (const spec of this.#lists.get(source) ?? []) if (!specs.has(spec.key)) specs.set(spec.key, spec)
    }
    for (const node of [...this.nodes.values()]) if (!specs.has(node.key)) this.#retire(node)
    const before = new Map(this.nodes)
    this.nodes.clear()
    for (const spec of specs.values()) this.nodes.set(spec.key, this.#listed(spec, before))
    this.version++
    this.#conflicts.changed()
    void this.#startPollers()
  }

  /** A few in each turn of the event loop: a list may name thousands. */
  async #startPollers(): Promise<void> {
    for (let started = 1; this.#starting.size > 0; started++) {
      this.#starting.shift()?.start()
      if (started % STARTS_A_TURN === 0) await nextTurn()
    }
  }

  #listed(spec: NodeSpec, before: ReadonlyMap<string, TrackedNode>): TrackedNode {
    const known = before.get(spec.key) ?? this.#retired.get(spec.key)
    const node = known ?? this.#create(spec)
    const isToldOtherwise = !sameService(node.spec, spec)
    node.spec = spec
    node.load.configure({ concurrency: spec.concurrency, weight: spec.weight })
    if (spec.models && node.isKnown) node.models = new Set(spec.models)
    if (before.has(spec.key)) {
      if (isToldOtherwise) this.#pollers.get(node)?.pollNow()
      return node
    }
    node.isRetired = false
    this.#retired.delete(spec.key)
    const poller = new Poller(node, {
      intervalSeconds: this.#options.refreshIntervalSeconds,
      prober: this.#prober,
      limits: this.#limits,
      now: this.now,
      onResult: (...result) => this.#polled(...result),
    })
    this.#pollers.set(node, poller)
    this.#starting.push(poller)
    this.#readiness.listed(node)
    this.emit('node:added', node)
    return node
  }

  #create(spec: NodeSpec): TrackedNode {
    return new TrackedNode(
      spec,
      new NodeLoad(this.loads[spec.kind], { concurrency: spec.concurrency, weight: spec.weight }),
    )
  }

  #retire(node: TrackedNode): void {
    this.#pollers.get(node)?.stop()
    this.#pollers.delete(node)
    this.#unasked.delete(node)
    node.isRetired = true
    this.#retired.set(node.key, node)
    this.#readiness.settled(node)
    this.emit('node:removed', node)
  }

  #polled(node: TrackedNode, result: ProbeResult, startedAt: number): void {
    const now = this.now()
    if (result.outcome === 'unasked') {
      if (this.#unasked.size === 0) this.emit('polls:blocked', result.reason)
      this.#unasked.add(node)
      return
    }
    this.#unasked.delete(node)
    if (result.outcome === 'failed') this.#pollFailed(node, result, now)
    else this.#pollSucceeded(node, result, startedAt)
    if (isSilence(result)) setTimeout(() => this.#becameKnown(node), SILENCE_SECONDS * 1000).unref()
    else this.#becameKnown(node)
  }

  #becameKnown(node: TrackedNode): void {
    node.isKnown = true
    this.#readiness.settled(node)
  }

  #pollFailed(node: TrackedNode, result: ProbeResult & { outcome: 'failed' }, now: number): void {
    node.isRefusing = result.refused
    if (result.answered) node.contact.answered()
    else node.contact.failed(now)
    this.#sawFailure(node, result.reason)
  }

  #pollSucceeded(
    node: TrackedNode,
    result: Exclude<ProbeResult, { outcome: 'failed' | 'unasked' }>,
    startedAt: number,
  ): void {
    const now = this.now()
    node.isRefusing = false
    node.contact.answered()
    if (result.outcome === 'pushback') return
    const isBack = node.health.observe(true)
    // What was learnt before it went away holds no more.
    if (isBack) node.load.recovered(now)
    if (result.outcome === 'info') {
      this.#learn(node, result.info)
      node.load.polled(startedAt, node.pending)
    } else {
      if (node.learnModels(result.models, result.prefix)) this.version++
      this.#tellLeftOut(node, result.leftOut)
    }
    if (!node.health.isHealthy) return
    node.reason = undefined
    if (!isBack) return
    this.version++
    this.emit('node:up', node)
  }

  #learn(node: TrackedNode, info: NodeInfo): void {
    const before = node.info?.containers
    const changed = !before || !sameContainers(before, info.containers)
    if (changed || node.info?.chain.enabled !== info.chain.enabled) this.version++
    node.info = changed ? info : { ...info, containers: before }
    this.#tellLeftOut(node, info.leftOut)
    if (!changed) return
    node.containers = new Map(info.containers.map((container) => [container.id, container]))
    this.#conflicts.changed()
  }

  /** Once for each node: what it lists may change with every poll. */
  #tellLeftOut(node: TrackedNode, leftOut: LeftOut | undefined): void {
    if (!leftOut || node.hasToldLeftOut) return
    node.hasToldLeftOut = true
    this.emit('node:leftOut', node, leftOut)
  }

  #sawFailure(node: TrackedNode, reason: string): void {
    const wasTold = node.reason !== undefined
    node.reason = reason.slice(0, MOST_REASON)
    const flipped = node.health.observe(false)
    if (flipped) this.version++
    if (flipped || (!wasTold && !node.health.isHealthy)) this.emit('node:down', node, reason)
  }
}
