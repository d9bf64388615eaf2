import { randomBytes } from 'node:crypto'
import { inTurns } from '../../base/turns.ts'
import type { NodeKind } from '../address.ts'
import type { Fleet } from '../fleet.ts'
import { jittered } from '../jitter.ts'
import { aged, type KeptNode } from '../load/rows.ts'
import type { TrackedNode } from '../node.ts'
import { documentOf, readDocument, type KeptFleet, type LearntTimes } from './document.ts'

/** The name of the value. */
const NAME = 'learnt'
const SAVE_EVERY_SECONDS = 30
/** What was learnt longer ago than this weighs nothing, seconds: six times the policy's time constant. */
const TOO_OLD_SECONDS = 1800
/** A date that lies further ahead than this is no date to reckon an age with, ms: gateways' clocks differ by less. */
const CLOCKS_DIFFER_MS = 60_000
/** Kinds of work that are kept, those with the most jobs. */
const KEPT_KINDS = 100

/** Where values are kept by name. */
interface Values {
  get(name: string): Promise<Buffer | undefined>
  set(name: string, value: string): Promise<void>
}

export interface LearntKeeperOptions {
  readonly fleet: Fleet
  readonly values: Values
  /** Whether other gateways keep theirs there too. */
  readonly isShared: boolean
  /** Epoch ms. */
  readonly wallClock?: () => number
}

/**
 * Keeps what was learnt of the backends, so that the first minute after a start routes as well as the last one before. Best effort:
 * what cannot be read or written is done without.
 *
 * Kept are ages, not moments: only the wall clock goes on while no gateway runs, and it is used for that alone. Several gateways
 * keep one value, which is that of the one that has learnt most: each sees the same backends.
 */
export class LearntKeeper {
  readonly #fleet: Fleet
  readonly #values: Values
  readonly #isShared: boolean
  readonly #wallClock: () => number
  readonly #name = randomBytes(8).toString('hex')
  /** What was kept of nodes that are not listed yet. */
  readonly #earlier = new Map<string, KeptNode>()
  /** As of when that is, on the fleet's clock, seconds. */
  #earlierAsOf = 0
  #timer: NodeJS.Timeout | undefined
  #saving: Promise<void> = Promise.resolve()

  constructor({ fleet, values, isShared, wallClock = Date.now }: LearntKeeperOptions) {
    this.#fleet = fleet
    this.#values = values
    this.#isShared = isShared
    this.#wallClock = wallClock
  }

  /** Takes up what was kept; to be called once, before the fleet is started. Never rejects. */
  async load(): Promise<void> {
    const bytes = await this.#values.get(NAME).catch(() => undefined)
    const learnt = bytes && readDocument(bytes)
    if (learnt) this.#takeUp(learnt)
  }

  /** Saves every half minute from now on. */
  start(): void {
    this.#timer = setTimeout(
      () => {
        void this.#save().then(() => this.#timer && this.start())
      },
      jittered(SAVE_EVERY_SECONDS) * 1000,
    ).unref()
  }

  /** Saves once more, and no more after that. Never rejects. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    await this.#save()
    this.#fleet.off('node:added', this.#onAdded)
  }

  #takeUp({ at, fleets, nodes }: LearntTimes): void {
    const passedMs = this.#wallClock() - at
    if (passedMs < -CLOCKS_DIFFER_MS) return
    const passed = Math.max(0, passedMs) / 1000
    const { now, loads } = this.#fleet
    this.#earlierAsOf = now() - passed
    const sinceLastEnd = passed + Math.min(TOO_OLD_SECONDS, ...nodes.map(([, kept]) => ageOf(kept)))
    for (const [kind, { row, traffic, kinds }] of Object.entries(fleets) as [NodeKind, KeptFleet][]) {
      const load = loads[kind]
      const weight = this.#faded(1, sinceLastEnd)
      load.takeUp(row, weight)
      load.kinds.takeUpTraffic(traffic, weight)
      // The kind with the most jobs is written first, and is to be the last one to be forgotten.
      for (const [name, each] of kinds.toReversed()) load.kinds.takeUp(name, each, weight)
    }
    for (const [key, kept] of nodes) {
      if (ageOf(kept) + passed < TOO_OLD_SECONDS) this.#earlier.set(key, kept)
    }
    this.#fleet.on('node:added', this.#onAdded)
  }

  readonly #onAdded = (node: TrackedNode): void => {
    const kept = this.#earlier.get(node.key)
    if (!kept) return
    this.#earlier.delete(node.key)
    node.load.recall(kept, this.#earlierAsOf)
  }

  /** One after the other: the last one may come while another is under way. */
  #save(): Promise<void> {
    this.#saving = this.#saving.then(() => this.#saveNow()).catch(() => {})
    return this.#saving
  }

  async #saveNow(): Promise<void> {
    const learnt = this.#learnt()
    // Right after a start nothing is known that is not kept already.
    if (learnt.nodes.length === 0) return
    if (this.#isShared && (await this.#othersKnowMore(learnt))) return
    await this.#values.set(NAME, await inTurns(documentOf(learnt)))
  }

  async #othersKnowMore(learnt: LearntTimes): Promise<boolean> {
    const bytes = await this.#values.get(NAME)
    const kept = bytes && readDocument(bytes)
    if (!kept || kept.by === this.#name || kept.at > learnt.at + CLOCKS_DIFFER_MS) return false
    return this.#evidenceOf(kept, learnt.at) > this.#evidenceOf(learnt, learnt.at)
  }

  /** How much it rests on at a date: jobs that have ended, less what has faded. */
  #evidenceOf({ at, nodes }: LearntTimes, date: number): number {
    const passed = Math.max(0, date - at) / 1000
    return nodes.reduce((sum, [, kept]) => sum + this.#jobsOf(kept, passed), 0)
  }

  #jobsOf(kept: KeptNode, passed = 0): number {
    const most = this.#fleet.loads.infernet.constants.serviceMemoryJobs
    return this.#faded(Math.min(kept.service[1]!, most), ageOf(kept) + passed)
  }

  #faded(jobs: number, seconds: number): number {
    return jobs * Math.exp(-seconds / this.#fleet.loads.infernet.constants.serviceMemorySeconds)
  }

  #learnt(): LearntTimes {
    const { nodes, loads, now: clock } = this.#fleet
    const now = clock()
    const found: [key: string, kept: KeptNode, jobs: number][] = []
    const add = (key: string, kept: KeptNode | undefined): void => {
      if (!kept || ageOf(kept) > TOO_OLD_SECONDS) return
      found.push([key, kept, this.#jobsOf(kept)])
    }
    for (const [key, { load }] of nodes) add(key, load.kept(now))
    for (const [key, kept] of this.#earlier) add(key, aged(kept, now - this.#earlierAsOf))
    found.sort((a, b) => b[2] - a[2])
    const fleets: Partial<Record<NodeKind, KeptFleet>> = {}
    for (const kind of ['infernet', 'openai'] as const) {
      const { row, kinds } = loads[kind]
      const most = kinds.most(KEPT_KINDS).map((each) => [each.name, each.row] as const)
      if (row) fleets[kind] = { row, traffic: kinds.trafficRow, kinds: most }
    }
    const kept = found.map(([key, each]) => [key, each] as const)
    return { at: this.#wallClock(), by: this.#name, fleets, nodes: kept }
  }
}

/** Seconds since the last end of a job. */
function ageOf({ service }: KeptNode): number {
  return Math.max(0, service[2]!)
}
