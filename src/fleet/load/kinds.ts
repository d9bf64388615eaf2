import type { PolicyConstants } from './constants.ts'
import { RunningMean } from './runningMean.ts'

/** What is reckoned for a kind and for a node's record of it, beside the two bytes of each character of its name. */
const BYTES_PER_KIND = 500
const BYTES_PER_NODE = 150

/** What a node is to the records of kinds: only its identity. */
export type KindsNode = object

/** A kind of work, such as a set of containers or a model, and what its jobs cost. Its jobs' service times are taken in
 * units of their node's usual service time, so what one node takes longer for says nothing of the kind. */
export class WorkKind {
  readonly name: string
  /** Jobs of this kind that ended well. */
  jobs = 0
  readonly #constants: PolicyConstants
  readonly #all: RunningMean
  readonly #ratios: RunningMean
  readonly #atNodes = new Map<KindsNode, RunningMean>()
  #ratio = 1

  /** @param all mean of all kinds' ratios over the traffic */
  constructor(name: string, all: RunningMean, constants: PolicyConstants) {
    this.name = name
    this.#all = all
    this.#constants = constants
    this.#ratios = new RunningMean(constants.kindMemoryJobs)
  }

  /** What one of its jobs costs, in mean jobs (`h`). */
  get weight(): number {
    return this.#ratio / (this.#all.value ?? 1)
  }

  /** How many times as long as usual this node takes for it (`f`): 1 where nothing was seen. */
  factorAt(node: KindsNode): number {
    const record = this.#atNodes.get(node)
    return record === undefined ? 1 : record.drawnTo(this.#ratio, this.#constants.kindNodePriorJobs) / this.#ratio
  }

  /** A job ended well, after a service of so many times the node's usual one.
   * @returns the bytes that what is known of the kind has grown by */
  ended(node: KindsNode, ratio: number): number {
    this.jobs++
    this.#ratios.add(ratio)
    this.#ratio = this.#ratios.drawnTo(1, this.#constants.kindPriorJobs)
    this.#all.add(this.#ratio)
    let record = this.#atNodes.get(node)
    const grown = record === undefined ? BYTES_PER_NODE : 0
    if (record === undefined) this.#atNodes.set(node, (record = new RunningMean(this.#constants.kindNodeMemoryJobs)))
    record.add(ratio)
    return grown
  }

  /** @returns the bytes that were given up */
  forget(node: KindsNode): number {
    return this.#atNodes.delete(node) ? BYTES_PER_NODE : 0
  }

  get bytes(): number {
    return BYTES_PER_KIND + 2 * this.name.length + BYTES_PER_NODE * this.#atNodes.size
  }
}

/** The kinds of work of a fleet, least recently ended first; the first are forgotten where all take too many bytes. */
export class WorkKinds {
  readonly #constants: PolicyConstants
  readonly #kinds = new Map<string, WorkKind>()
  readonly #all: RunningMean
  #bytes = 0

  constructor(constants: PolicyConstants) {
    this.#constants = constants
    this.#all = new RunningMean(constants.kindMemoryJobs)
  }

  get size(): number {
    return this.#kinds.size
  }

  /** Bytes that what is known takes, reckoned. */
  get bytes(): number {
    return this.#bytes
  }

  /** A kind of which jobs have ended; undefined for any other. */
  find(name: string | undefined): WorkKind | undefined {
    return name === undefined ? undefined : this.#kinds.get(name)
  }

  /** A job of this kind ended well, after a service of so many times the node's usual one. */
  ended(name: string, node: KindsNode, ratio: number): void {
    const known = this.#kinds.get(name)
    const kind = known ?? new WorkKind(name, this.#all, this.#constants)
    if (!known && kind.bytes > this.#constants.kindMemoryBytes) return
    this.#bytes += known ? 0 : kind.bytes
    this.#bytes += kind.ended(node, ratio)
    // Puts it behind all others.
    this.#kinds.delete(name)
    this.#kinds.set(name, kind)
    this.#makeRoom()
  }

  /** What the node showed of any kind holds no more. */
  forget(node: KindsNode): void {
    for (const kind of this.#kinds.values()) this.#bytes -= kind.forget(node)
  }

  /** So many of the kinds with the most jobs, these first. */
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
