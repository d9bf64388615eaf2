import type { PolicyConstants } from './constants.ts'
import type { Row } from './rows.ts'
import { RunningMean } from './runningMean.ts'

/** Estimated memory of a kind, besides two bytes for each character of its name, and of one node's record of it. */
const BYTES_PER_KIND = 500
const BYTES_PER_NODE = 150
/** Squared sizes have this mean where sizes are exponential and their mean is 1. */
const EXPONENTIAL_MEAN_SQUARE = 2
/** From this many nodes on, a kind looks for records of nodes that are gone; again whenever they have doubled. */
const FIRST_SWEEP_NODES = 64

/** What all jobs of a node tell together: how long they took over how long jobs of their kinds usually take. */
export class NodeKinds {
  /** 1, but for chance: every kind's factor at this node is divided by it, so that chance is not taken for a difference. */
  usual = 1
  /** The node has left, or all that was learnt of it holds no more. */
  isGone = false
  readonly #ratios: RunningMean
  readonly #expected: RunningMean
  readonly #priorJobs: number

  constructor({ kindNodeMemoryJobs, kindPriorJobs }: PolicyConstants) {
    this.#ratios = new RunningMean(kindNodeMemoryJobs)
    this.#expected = new RunningMean(kindNodeMemoryJobs)
    this.#priorJobs = kindPriorJobs
  }

  /** The means of both ratios. */
  get row(): Row {
    return [...this.#ratios.row, ...this.#expected.row]
  }

  /** Goes on from what was kept, which counts for `weight` (0 to 1) of what it did. */
  takeUp(row: Row, weight: number): void {
    this.#ratios.takeUp(row.slice(0, 2), weight)
    this.#expected.takeUp(row.slice(2), weight)
    this.#reckon()
  }

  /** A job ended well. Both ratios are service times over the node's usual one. */
  ended(ratio: number, expectedRatio: number): void {
    this.#ratios.add(ratio)
    this.#expected.add(expectedRatio)
    this.#reckon()
  }

  #reckon(): void {
    this.usual = this.#ratios.drawnTo(1, this.#priorJobs) / this.#expected.drawnTo(1, this.#priorJobs)
  }
}

/** A kind of work, such as a set of containers or a model, and what its jobs cost. Service times are taken over their
 * node's usual one, so a slow node does not make a kind look large. */
export class WorkKind {
  readonly name: string
  /** Jobs of this kind that ended well. */
  jobs = 0
  readonly #constants: PolicyConstants
  readonly #traffic: RunningMean
  readonly #ratios: RunningMean
  readonly #squares: RunningMean
  readonly #atNodes = new Map<NodeKinds, RunningMean>()
  #ratio = 1
  #nodePriorJobs: number
  #sweepAtNodes = FIRST_SWEEP_NODES

  /** @param traffic mean of the kinds' ratios over all jobs */
  constructor(name: string, traffic: RunningMean, constants: PolicyConstants) {
    this.name = name
    this.#traffic = traffic
    this.#constants = constants
    this.#ratios = new RunningMean(constants.kindMemoryJobs)
    this.#squares = new RunningMean(constants.kindMemoryJobs)
    this.#nodePriorJobs = constants.kindNodePriorJobs
  }

  /** What one of its jobs costs, in mean jobs (`h`). */
  get weight(): number {
    return this.#ratio / (this.#traffic.value ?? 1)
  }

  /** Whether any of its jobs has ended well at this node. */
  isKnownAt(node: NodeKinds): boolean {
    return this.#atNodes.has(node)
  }

  /** How many times as long as usual this node takes for it (`f`): 1 without evidence. */
  factorAt(node: NodeKinds): number {
    const record = this.#atNodes.get(node)
    if (record === undefined) return 1
    const usual = this.#ratio * node.usual
    return record.drawnTo(usual, this.#nodePriorJobs) / usual
  }

  /** A job was served; `ratio` is its service time over the node's usual one. */
  ended(node: NodeKinds, ratio: number): void {
    this.jobs++
    this.#learn(ratio)
    this.#recordOf(node).add(ratio)
    node.ended(ratio, this.#ratio)
    this.#traffic.add(this.#ratio)
  }

  /** How many of its jobs ended well, and the means of their sizes and squared sizes. */
  get row(): Row {
    return [this.jobs, ...this.#ratios.row, ...this.#squares.row]
  }

  /** Goes on from what was kept, which counts for `weight` (0 to 1) of what it did. */
  takeUp([jobs = 0, ...means]: Row, weight: number): void {
    this.jobs = Math.round(Math.max(0, jobs) * weight)
    this.#ratios.takeUp(means.slice(0, 2), weight)
    this.#squares.takeUp(means.slice(2), weight)
    this.#reckon()
  }

  /** The mean of its jobs at one node. */
  rowAt(node: NodeKinds): Row | undefined {
    return this.#atNodes.get(node)?.row
  }

  takeUpAt(node: NodeKinds, row: Row, weight: number): void {
    this.#recordOf(node).takeUp(row, weight)
  }

  /** Estimated memory. */
  get bytes(): number {
    return BYTES_PER_KIND + 2 * this.name.length + BYTES_PER_NODE * this.#atNodes.size
  }

  #recordOf(node: NodeKinds): RunningMean {
    const known = this.#atNodes.get(node)
    if (known !== undefined) return known
    if (this.#atNodes.size >= this.#sweepAtNodes) this.#sweep()
    const record = new RunningMean(this.#constants.kindNodeMemoryJobs)
    this.#atNodes.set(node, record)
    return record
  }

  #sweep(): void {
    for (const node of this.#atNodes.keys()) if (node.isGone) this.#atNodes.delete(node)
    this.#sweepAtNodes = Math.max(FIRST_SWEEP_NODES, 2 * this.#atNodes.size)
  }

  #learn(ratio: number): void {
    this.#ratios.add(ratio)
    this.#squares.add(ratio * ratio)
    this.#reckon()
  }

  #reckon(): void {
    const { kindPriorJobs, kindNodePriorJobs } = this.#constants
    this.#ratio = this.#ratios.drawnTo(1, kindPriorJobs)
    // The more sizes scatter, the more jobs it takes to tell nodes apart: in proportion to the variance over the squared mean,
    // which is 1 for exponential sizes.
    const square = this.#ratio ** 2
    const scatter = this.#squares.drawnTo(EXPONENTIAL_MEAN_SQUARE * square, kindPriorJobs) / square - 1
    this.#nodePriorJobs = kindNodePriorJobs * Math.max(1, scatter)
  }
}

/** The kinds of work of a fleet. Bounded by memory: the kind whose last job ended longest ago is forgotten first. */
export class WorkKinds {
  readonly #constants: PolicyConstants
  /** In the order of their last ends. */
  readonly #kinds = new Map<string, WorkKind>()
  readonly #traffic: RunningMean
  #bytes = 0

  constructor(constants: PolicyConstants) {
    this.#constants = constants
    this.#traffic = new RunningMean(constants.kindMemoryJobs)
  }

  get size(): number {
    return this.#kinds.size
  }

  /** Estimated memory of all kinds. */
  get bytes(): number {
    return this.#bytes
  }

  /** A kind of which jobs have ended; undefined for any other. */
  find(name: string | undefined): WorkKind | undefined {
    return name === undefined ? undefined : this.#kinds.get(name)
  }

  /** A job of this kind was served; `ratio` is its service time over the node's usual one. */
  ended(name: string, node: NodeKinds, ratio: number): void {
    const kind = this.#take(name)
    if (!kind) return
    kind.ended(node, ratio)
    this.#putBack(kind)
  }

  /** The mean of all kinds' sizes over the traffic, as it is kept. */
  get trafficRow(): Row {
    return this.#traffic.row
  }

  takeUpTraffic(row: Row, weight: number): void {
    this.#traffic.takeUp(row, weight)
  }

  /** Goes on from what was kept of a kind; see `WorkKind.takeUp`. */
  takeUp(name: string, row: Row, weight: number): void {
    const kind = this.#take(name)
    if (!kind) return
    kind.takeUp(row, weight)
    this.#putBack(kind)
  }

  /** The same for a kind that is known, at one node. */
  takeUpAt(name: string, node: NodeKinds, row: Row, weight: number): void {
    const kind = this.#kinds.has(name) ? this.#take(name) : undefined
    if (!kind) return
    kind.takeUpAt(node, row, weight)
    this.#putBack(kind)
  }

  /** A kind that is about to change; undefined where it would take all the memory. */
  #take(name: string): WorkKind | undefined {
    const kind = this.#kinds.get(name) ?? new WorkKind(name, this.#traffic, this.#constants)
    if (kind.bytes > this.#constants.kindMemoryBytes) return undefined
    if (this.#kinds.delete(name)) this.#bytes -= kind.bytes
    return kind
  }

  /** It has changed, and is the most recent one. */
  #putBack(kind: WorkKind): void {
    this.#kinds.set(kind.name, kind)
    this.#bytes += kind.bytes
    this.#makeRoom()
  }

  /** The kinds with the most jobs, at most `count`, those with the most first. */
  most(count: number): WorkKind[] {
    return [...this.#kinds.values()].sort((a, b) => b.jobs - a.jobs).slice(0, count)
  }

  #makeRoom(): void {
    for (const [name, kind] of this.#kinds) {
      if (this.#bytes <= this.#constants.kindMemoryBytes || this.#kinds.size === 1) return
      this.#kinds.delete(name)
      this.#bytes -= kind.bytes
    }
  }
}
