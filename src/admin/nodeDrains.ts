import type { Logger } from '../base/index.ts'
import { GatewayFault } from '../faults.ts'
import type { Fleet, TrackedNode } from '../fleet/index.ts'
import type { Ledger } from '../ledger/index.ts'
import { HandMarks } from './handMarks.ts'
import { type Work, WorkReports } from './workReports.ts'

/** How often it is looked whether work has ended, and what others have changed, ms. */
const LOOK_EVERY_MS = 1000
/** Until others have read their lists as well and reported, and restored jobs are counted, ms. */
const SETTLE_MS = 5000

/** `draining`: it gets no new work, and some is under way. `drained`: nothing is under way any more at any gateway. */
export type DrainState = 'draining' | 'drained' | null

interface NodeDrainsOptions {
  readonly fleet: Fleet
  readonly ledger: Pick<Ledger, 'values' | 'shared'>
  readonly logger: Logger
  readonly lookEveryMs?: number
  readonly settleMs?: number
}

/**
 * Nodes that are to be switched off: by `drain` in their list, by hand, or since they were taken out of the list. They get no new
 * work; the log says when their last job or request has ended.
 */
export class NodeDrains {
  readonly #fleet: Fleet
  readonly #logger: Logger
  readonly #marks: HandMarks
  readonly #reports: WorkReports | undefined
  readonly #lookEveryMs: number
  readonly #settleMs: number
  readonly #states = new Map<TrackedNode, DrainState>()
  /** Those that no list names any more, while something is under way there; and from when on it can be known that nothing is, ms. */
  readonly #leaving = new Map<TrackedNode, number>()
  #timer: NodeJS.Timeout | undefined
  #isStopped = false
  #isFailing = false
  /** What others have been told last names a node. */
  #hasReported = false
  readonly #added = (node: TrackedNode): void => {
    this.#leaving.delete(node)
    node.isDrainedByHand = this.#marks.has(node.key)
  }
  readonly #removed = (node: TrackedNode): void => {
    this.#states.delete(node)
    if (workAt(node) > 0 || this.#reports)
      this.#leaving.set(node, performance.now() + (this.#reports ? this.#settleMs : 0))
  }
  readonly #adopted = (node: TrackedNode): void => {
    this.#leaving.set(node, performance.now() + this.#settleMs)
  }

  constructor({ fleet, ledger, logger, lookEveryMs = LOOK_EVERY_MS, settleMs = SETTLE_MS }: NodeDrainsOptions) {
    this.#fleet = fleet
    this.#logger = logger
    this.#marks = new HandMarks(ledger.values)
    this.#reports = ledger.shared && new WorkReports(ledger.shared.coordination)
    this.#lookEveryMs = lookEveryMs
    this.#settleMs = settleMs
    fleet.on('node:added', this.#added).on('node:removed', this.#removed).on('node:adopted', this.#adopted)
  }

  /** To be awaited before the fleet is started, so that no node gets work that must not. */
  async start(): Promise<void> {
    await this.#look()
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
    this.#fleet.off('node:added', this.#added)
    this.#fleet.off('node:removed', this.#removed)
    this.#fleet.off('node:adopted', this.#adopted)
  }

  /** Nodes that no list names any more, and that still have work. */
  get leaving(): readonly TrackedNode[] {
    return [...this.#leaving.keys()]
  }

  /** All nodes that get no new work. */
  get nodes(): readonly TrackedNode[] {
    return [...[...this.#fleet.nodes.values()].filter((node) => node.isDraining), ...this.#leaving.keys()]
  }

  stateOf(node: TrackedNode): DrainState {
    if (this.#leaving.has(node)) return 'draining'
    if (!node.isDraining) return null
    return this.#states.get(node) ?? 'draining'
  }

  /**
   * Gives the nodes of this name no new work, until `undrain`. Returns them.
   *
   * @throws GatewayFault ERR_NOT_FOUND where no listed node has the name; ERR_LEDGER while it cannot be kept
   */
  async drain(name: string): Promise<readonly TrackedNode[]> {
    const nodes = this.#listed(name)
    if (nodes.length === 0) throw noSuchNode()
    const since = new Date().toISOString()
    await this.#marks.add(nodes.map(({ key }) => ({ key, name, since })))
    await this.#apply()
    return nodes
  }

  /**
   * Takes back `drain`. Returns the nodes of this name that are listed.
   *
   * @throws GatewayFault ERR_NOT_FOUND where no node has the name; ERR_DRAINED_BY_LIST where its list drains it; ERR_LEDGER while it
   * cannot be kept
   */
  async undrain(name: string): Promise<readonly TrackedNode[]> {
    const nodes = this.#listed(name)
    const keys = [...this.#marks.keysNamed(name), ...nodes.map(({ key }) => key)]
    if (keys.length === 0) throw noSuchNode()
    await this.#marks.remove(keys)
    await this.#apply()
    if (nodes.some(({ isDraining }) => isDraining)) throw new GatewayFault('ERR_DRAINED_BY_LIST')
    return nodes
  }

  #listed(name: string): TrackedNode[] {
    return [...this.#fleet.nodes.values()].filter((node) => node.name === name)
  }

  /** Takes over the marks as they are known. */
  async #apply(): Promise<void> {
    let isChanged = false
    for (const node of this.#fleet.nodes.values()) {
      const isMarked = this.#marks.has(node.key)
      if (node.isDrainedByHand === isMarked) continue
      node.isDrainedByHand = isMarked
      isChanged = true
    }
    if (isChanged) this.#fleet.version++
    // Whether others are done is known when they have said so.
    this.#judge(this.#reports === undefined)
  }

  async #look(): Promise<void> {
    clearTimeout(this.#timer)
    try {
      if (await this.#marks.read()) await this.#apply()
      const work = this.#workHere()
      // Once more when nothing is left: what was told last must not be taken for true later on.
      if (work.size > 0 || this.#hasReported) await this.#reports?.exchange(work)
      this.#hasReported = work.size > 0
      this.#judge(true)
      this.#isFailing = false
    } catch (error) {
      if (!this.#isFailing) this.#logger.warn('drained nodes cannot be read, the last known ones stay', { error })
      this.#isFailing = true
    }
    if (!this.#isStopped) this.#timer = setTimeout(() => void this.#look(), this.#lookEveryMs).unref()
  }

  #workHere(): Work {
    const work = new Map<string, number>()
    for (const node of this.#fleet.nodes.values()) if (node.isDraining) work.set(node.key, workAt(node))
    for (const node of this.#leaving.keys()) work.set(node.key, workAt(node))
    return work
  }

  #judge(areOthersKnown: boolean): void {
    for (const [node, settledAt] of this.#leaving) {
      if (workAt(node) > 0 || !areOthersKnown || performance.now() < settledAt) continue
      if (this.#reports?.isAnyUnderWay(node.key)) continue
      this.#leaving.delete(node)
      this.#tell(node, 'drained')
    }
    for (const node of this.#fleet.nodes.values()) {
      if (!node.isDraining && !this.#states.has(node)) continue
      const isDone = workAt(node) === 0 && areOthersKnown && (this.#reports?.areDone(node.key) ?? true)
      const state = node.isDraining ? (isDone ? 'drained' : 'draining') : null
      if (this.#states.get(node) === state) continue
      // Until others are heard, what was known of them stands.
      if (!areOthersKnown && state === 'draining' && this.#states.get(node) === 'drained') continue
      if (state === null) this.#states.delete(node)
      else this.#states.set(node, state)
      this.#tell(node, state)
    }
  }

  #tell(node: TrackedNode, state: DrainState): void {
    const fields = { node: node.name }
    if (state === null) this.#logger.info('node gets new work again', fields)
    else if (state === 'drained') this.#logger.info('node is drained, may be switched off', fields)
    else this.#logger.info('node gets no new work, what it has is followed to its end', fields)
  }
}

/** Requests and jobs of this process that are under way at a node. */
export function workAt(node: TrackedNode): number {
  return Math.max(node.inFlight, node.load.inFlight)
}

function noSuchNode(): GatewayFault {
  return new GatewayFault('ERR_NOT_FOUND', 'No node or service has this name; /stats shows the names')
}
