import { EventEmitter } from 'node:events'
import { nowOrInTurns, type Steps } from '../base/turns.ts'
import { sameService, type NodeKind, type NodeSpec } from './address.ts'
import { ConflictWatch, type ImageConflicts } from './conflicts.ts'
import { Engines } from './engines/engines.ts'
import type { FleetEvents } from './fleetEvents.ts'
import type { FleetOptions } from './fleetOptions.ts'
import { sameContainers, type LeftOut, type NodeInfo } from './info.ts'
import { DEFAULT_CONSTANTS } from './load/constants.ts'
import { FleetLoad } from './load/fleetLoad.ts'
import { NodeLoad } from './load/nodeLoad.ts'
import { Outliers } from './load/outliers/outliers.ts'
import { oncePerBackend } from './merge.ts'
import { TrackedNode } from './node.ts'
import { PollLimits } from './poller.ts'
import { Pollers } from './pollers.ts'
import { isSilence, Prober, type ProbeResult } from './probe.ts'
import { Readiness } from './readiness.ts'
import { Returns } from './returns.ts'
import type { NodeSource } from './sources/source.ts'

/** For so long after a poll that nobody answered, the node is not known yet: who asked at the start hears that, not that nobody is there. */
const SILENCE_SECONDS = 1
/** Entries of the lists that are merged between two checks of the clock, so that short lists are merged at once. */
const ENTRIES_PER_STEP = 64

/**
 * Who the backends are and how they are: merges what the sources list, polls everyone, keeps what is known of those that stay.
 * Knows nothing of requests; see `Selector` for who gets one.
 */
export class Fleet extends EventEmitter<FleetEvents> {
  /** Listed nodes by key, in the order of the sources. */
  readonly nodes = new Map<string, TrackedNode>()
  /** What backends of one kind know together: a chat answer says nothing about how long jobs take. */
  readonly loads: Readonly<Record<NodeKind, FleetLoad>>
  /** Who answers worse than the others. */
  readonly outliers: Outliers<TrackedNode>
  /** Who waits for nodes that take no connections. */
  readonly returns: Returns
  /** The load of services by their own count. */
  readonly engines: Engines
  readonly now: () => number
  /** Rises whenever who can do what may have changed. */
  version = 0
  readonly #options: FleetOptions
  readonly #lists = new Map<NodeSource, readonly NodeSpec[]>()
  readonly #pollers: Pollers
  readonly #prober: Prober
  readonly #retired = new Map<string, TrackedNode>()
  readonly #conflicts = new ConflictWatch(() => this.nodes.values(), {
    found: (conflict) => this.emit('image:conflict', conflict),
    foundMore: (count) => this.emit('image:conflicts', count),
  })
  /** Those whose last poll this machine could not make. */
  readonly #unasked = new Set<TrackedNode>()
  readonly #readiness = new Readiness()
  /** Settles when the lists of this moment have been taken over; undefined where they have. */
  #refreshing: Promise<void> | undefined
  /** A list has changed since. */
  #isStale = false

  constructor(options: FleetOptions) {
    super()
    this.#options = options
    this.now = options.now ?? (() => performance.now() / 1000)
    const { constants = DEFAULT_CONSTANTS, pollTimeoutSeconds = 3 } = options
    this.loads = { infernet: new FleetLoad(constants), openai: new FleetLoad(constants) }
    this.outliers = new Outliers(constants, {
      setAside: (node, avoided) => {
        node.counts.setAsides++
        this.emit('node:avoided', node, avoided)
      },
      freed: (node, kind, by) => this.emit('node:freed', node, kind, by),
    })
    this.#prober = new Prober({ ...options, timeoutSeconds: pollTimeoutSeconds })
    this.#pollers = new Pollers({
      intervalSeconds: options.refreshIntervalSeconds,
      prober: this.#prober,
      limits: new PollLimits(),
      now: this.now,
      onResult: (...result) => this.#polled(...result),
    })
    this.returns = new Returns(this.#prober, this.#pollers)
    this.engines = new Engines(this, this.#prober, options.refreshIntervalSeconds, this.now)
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
    while (this.#refreshing) await this.#refreshing
    this.#readiness.sourcesLoaded()
  }

  stop(): void {
    for (const source of this.#options.sources) source.stop()
    this.#pollers.stop()
    this.engines.stop()
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

  /** Healthy nodes that may get work, and be named to those who look up. */
  healthy(kind?: NodeKind): TrackedNode[] {
    const now = this.now()
    return this.reachable(kind).filter((node) => node.isHealthy(now))
  }

  /** Nodes that may get work, those included that are set aside for failing traffic: what the fleet can do. */
  reachable(kind?: NodeKind): TrackedNode[] {
    return [...this.nodes.values()].filter((node) => node.takesWork && (!kind || node.spec.kind === kind))
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
    this.emit('node:adopted', node)
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
    node.answered()
    this.returns.answered(node)
    if (tookWork) node.load.succeeded(this.now())
  }

  /** Evidence from traffic: refused, reset, silent or broken off. Brings the next poll forward, so that health follows soon. */
  failed(node: TrackedNode, reason: string, { refused = false, lost = false } = {}): void {
    const now = this.now()
    node.refused(refused, now)
    if (lost) node.contact.failed(now)
    const wasEjected = node.load.isEjected(now)
    node.load.failed(now)
    if (!wasEjected && node.load.isEjected(now)) this.emit('node:ejected', node, reason)
    if (refused) this.#sawFailure(node, reason)
    this.pollSoon(node)
  }

  /** Brings the node's next poll forward. */
  pollSoon(node: TrackedNode): void {
    this.#pollers.of(node)?.pollSoon()
  }

  /** After look-ups: polls the node earlier where the policy wishes it. */
  reconsiderPoll(node: TrackedNode): void {
    const at = node.load.earlyPollAt(this.now())
    if (at !== undefined) this.#pollers.of(node)?.pollBy(at)
  }

  /** Polls again those of the nodes whose last poll is older than a second, and waits for that at most `seconds`. */
  freshen(nodes: readonly TrackedNode[], seconds: number): Promise<void> {
    return this.#pollers.freshen(nodes, seconds)
  }

  /** After a change of a list; a long one is taken over in slices, and counts when all of it is there. */
  #refresh(): void {
    if (this.#refreshing) {
      this.#isStale = true
      return
    }
    this.#isStale = false
    const rest = nowOrInTurns(this.#refreshSteps())
    if (!(rest instanceof Promise)) return
    this.#refreshing = rest.then(() => {
      this.#refreshing = undefined
      if (this.#isStale) this.#refresh()
    })
  }

  *#refreshSteps(): Steps<void> {
    const listed = new Map<string, readonly [NodeSpec, TrackedNode]>()
    for (const spec of oncePerBackend(this.#options.sources.map((source) => this.#lists.get(source) ?? []))) {
      listed.set(spec.key, [spec, this.find(spec.key) ?? this.#create(spec)])
      if (listed.size % ENTRIES_PER_STEP === 0) yield
    }
    for (const node of [...this.nodes.values()]) if (!listed.has(node.key)) this.#retire(node)
    const before = new Set(this.nodes.values())
    this.nodes.clear()
    for (const [spec, made] of listed.values()) {
      // It may have been adopted meanwhile.
      const node = this.#retired.get(spec.key) ?? made
      this.#list(node, spec, before.has(node))
    }
    this.version++
    this.#conflicts.changed()
  }

  #list(node: TrackedNode, spec: NodeSpec, wasListed: boolean): void {
    const isToldOtherwise = !sameService(node.spec, spec)
    this.nodes.set(node.key, node)
    if (isToldOtherwise) node.respecify(spec)
    else node.spec = spec
    node.load.configure(spec)
    if (wasListed) {
      if (!isToldOtherwise) return
      // Nothing that was wrong with it before need be so now.
      this.outliers.forget(node)
      this.engines.forget(node)
      this.#pollers.of(node)?.pollNow()
      return
    }
    node.isRetired = false
    this.#retired.delete(node.key)
    this.#readiness.listed(node)
    this.emit('node:added', node)
    this.#pollers.add(node)
  }

  #create(spec: NodeSpec): TrackedNode {
    return new TrackedNode(spec, new NodeLoad(this.loads[spec.kind], spec))
  }

  #retire(node: TrackedNode): void {
    this.#pollers.remove(node)
    this.#unasked.delete(node)
    this.outliers.forget(node)
    node.isRetired = true
    this.#retired.set(node.key, node)
    this.#readiness.settled(node)
    this.emit('node:removed', node)
  }

  #polled(node: TrackedNode, result: ProbeResult, startedAt: number): void {
    if (result.outcome === 'unasked') {
      if (this.#unasked.size === 0) this.emit('polls:blocked', result.reason)
      this.#unasked.add(node)
      return
    }
    this.#unasked.delete(node)
    node.askedAt = startedAt
    if (result.outcome === 'failed') this.#pollFailed(node, result, startedAt)
    else this.#pollSucceeded(node, result, startedAt)
    if (isSilence(result)) setTimeout(() => this.#becameKnown(node), SILENCE_SECONDS * 1000).unref()
    else this.#becameKnown(node)
  }

  #becameKnown(node: TrackedNode): void {
    node.isKnown = true
    this.#readiness.settled(node)
  }

  #pollFailed(node: TrackedNode, result: ProbeResult & { outcome: 'failed' }, startedAt: number): void {
    node.refused(result.refused, this.now())
    const isSending = isSilence(result) && node.heardAtMs >= startedAt * 1000
    if (result.answered || isSending) node.contact.answered()
    else node.contact.failed(this.now())
    // Slow at polls, yet answering requests while it was polled: busy, not gone.
    if (isSending && node.health.isHealthy) node.health.observe(true)
    else this.#sawFailure(node, result.reason)
  }

  #pollSucceeded(
    node: TrackedNode,
    result: Exclude<ProbeResult, { outcome: 'failed' | 'unasked' }>,
    startedAt: number,
  ): void {
    node.answered()
    this.returns.answered(node)
    if (result.outcome === 'pushback') return
    const isBack = node.health.observe(true)
    // What was learnt before it went away holds no more.
    if (isBack) node.load.recovered(this.now())
    if (result.outcome === 'info') {
      this.#learn(node, result.info)
      node.load.polled(startedAt, node.pending)
    } else {
      if (node.learnModels(result.models, result.prefix)) this.version++
      this.#tellLeftOut(node, result.leftOut)
    }
    if (!node.health.isHealthy) return
    node.cameUp()
    if (!node.isInfernet) this.engines.polled(node)
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
    const flipped = node.sawFailure(reason, this.now())
    if (flipped) this.version++
    if (flipped || (!wasTold && !node.health.isHealthy)) this.emit('node:down', node, reason)
  }
}
