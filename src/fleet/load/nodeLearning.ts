import type { FleetLoad } from './fleetLoad.ts'
import { NodeKinds } from './kinds.ts'
import { LearntConcurrency, type ConcurrencyMark } from './learntConcurrency.ts'
import type { KeptNode, Row } from './rows.ts'
import type { ServedMark } from './servedSeconds.ts'
import { ServiceTime } from './serviceTime.ts'
import type { WorkMark } from './work.ts'

/** Kinds whose means at a node are kept: those with the most jobs. */
const KEPT_KINDS = 20

/** What the ends of jobs teach of one node: how long they take, how many it runs at once, how it does at which kind of work. */
export class NodeLearning {
  readonly service: ServiceTime
  readonly concurrency: LearntConcurrency
  readonly #fleet: FleetLoad
  #kinds: NodeKinds

  constructor(fleet: FleetLoad) {
    this.#fleet = fleet
    this.service = new ServiceTime(fleet)
    this.concurrency = new LearntConcurrency(fleet.constants)
    this.#kinds = new NodeKinds(fleet.constants)
  }

  get kinds(): NodeKinds {
    return this.#kinds
  }

  forgetKinds(): void {
    this.#kinds.isGone = true
    this.#kinds = new NodeKinds(this.#fleet.constants)
  }

  mark(): { service: ServedMark; concurrency: ConcurrencyMark } {
    return { service: this.service.mark(), concurrency: this.concurrency.mark() }
  }

  /** A job that began at the mark was not served. */
  notServed({ service, concurrency }: WorkMark): void {
    this.service.notServed(service)
    this.concurrency.notServed(concurrency)
  }

  /** What a job that was served counts as, in mean jobs; it also teaches that.
   * @param servedToOne service that a single job here has received by now, seconds
   * @param lagged how much of it was none, seconds */
  weightOf(
    { workKind, servedToOne: before, service }: WorkMark,
    now: number,
    servedToOne: number,
    lagged: number,
  ): number {
    if (workKind === undefined) return 1
    const { kinds } = this.#fleet
    const usual = this.service.seconds(now)
    // One that began before the gateway did, or before the node came back, was only seen in part.
    if (before !== undefined && this.service.knows(service) && usual > 0) {
      kinds.ended(workKind, this.#kinds, Math.max(0, servedToOne - before - lagged) / usual)
    }
    return kinds.find(workKind)?.weight ?? 1
  }

  /** To keep it; undefined where no job has ended.
   * @param concurrency jobs at once that the service times were reckoned with */
  kept(now: number, concurrency: number): KeptNode | undefined {
    const service = this.service.row(now)
    if (!service) return undefined
    const kinds: [string, Row][] = []
    for (const kind of this.#fleet.kinds.most(KEPT_KINDS)) {
      const mean = kind.rowAt(this.#kinds)
      if (mean) kinds.push([kind.name, mean])
    }
    return { service, concurrency, ends: this.concurrency.row, usual: this.#kinds.row, kinds }
  }

  /** Goes on from what was kept `seconds` ago; `concurrencyOf` tells how many jobs at once that makes believe. */
  takeUp(
    { service, concurrency, ends, usual, kinds }: KeptNode,
    seconds: number,
    now: number,
    concurrencyOf: () => number,
  ): void {
    const [, , , , ownAge = 0] = service
    const weight = Math.exp(-(Math.max(0, ownAge) + seconds) / this.#fleet.constants.serviceMemorySeconds)
    if (ends) this.concurrency.takeUp(ends, weight)
    this.service.takeUp(service, seconds, now, this.concurrency.ratio(concurrencyOf(), concurrency))
    if (usual) this.#kinds.takeUp(usual, weight)
    for (const [name, mean] of kinds) this.#fleet.kinds.takeUpAt(name, this.#kinds, mean, weight)
  }
}
