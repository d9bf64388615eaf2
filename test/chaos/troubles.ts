/** What goes wrong: one trouble after the other, drawn by a seed; each ends by itself. */
import { setTimeout as sleep } from 'node:timers/promises'
import { exponential } from '../kit/routingSimulation/random.ts'
import { troublesOf, type Trouble } from './kinds.ts'
import { REPLICA_TIMEOUT, type World } from './world.ts'

/** Mean seconds from one trouble to the next. */
const MEAN_GAP_SECONDS = 0.8
/** Nodes that are in trouble at the same time, at most: somebody has to do the work. */
const MOST_NODES_IN_TROUBLE = 3
/** From a failover until all gateways have told Redis again what they did last, each after its next beat. */
const HISTORY_SECONDS = 2 * REPLICA_TIMEOUT

export class Troubles {
  /** How often each came. */
  readonly counts = new Map<string, number>()
  readonly #random: () => number
  readonly #tell: (line: string) => void
  readonly #kinds: readonly Trouble[]
  /** How many of each party there are, and how many may be in trouble at the same time. */
  readonly #parties: Readonly<Record<Trouble['party'], { count: number; most: number }>>
  /** `party index` of those that are in trouble. */
  readonly #inTrouble = new Set<string>()
  #isHistoryOpen = false
  readonly #open = new Set<Promise<void>>()

  constructor({ world, random, tell }: { world: World; random: () => number; tell: (line: string) => void }) {
    this.#random = random
    this.#tell = tell
    this.#kinds = troublesOf(world)
    const gateways = world.gateways.length
    this.#parties = {
      node: { count: world.nodes.length, most: MOST_NODES_IN_TROUBLE },
      gateway: { count: gateways, most: Math.max(1, gateways - 1) },
      redis: { count: 1, most: 1 },
    }
  }

  /** Whether Redis has perhaps not been told yet what it lost: what is told of jobs meanwhile is not final. */
  get isHistoryOpen(): boolean {
    return this.#isHistoryOpen
  }

  /** Makes trouble until the signal; resolves when the last one is over. Rejects if a process does not come back. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(exponential(this.#random, MEAN_GAP_SECONDS) * 1000, undefined, { signal }).catch(() => undefined)
      if (!signal.aborted) await this.#begin()
    }
    await Promise.all(this.#open)
  }

  async #begin(): Promise<void> {
    const trouble = this.#draw()
    const seconds = 0.5 + exponential(this.#random, 2)
    const index = Math.floor(this.#random() * this.#parties[trouble.party].count)
    if (!this.#isBearable(trouble, index)) return
    if (trouble.mayBegin && !(await trouble.mayBegin())) return
    const { name, party } = trouble
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1)
    this.#tell(`${name}: ${index} (${seconds.toFixed(1)})`)
    const whose = `${party} ${index}`
    this.#inTrouble.add(whose)
    const open = this.#befall(trouble, index, seconds).finally(() => {
      this.#inTrouble.delete(whose)
      this.#open.delete(open)
    })
    // Looked at in `run`, by which time it may have failed long ago.
    open.catch(() => undefined)
    this.#open.add(open)
  }

  async #befall({ befall, losesHistory }: Trouble, index: number, seconds: number): Promise<void> {
    if (!losesHistory) return befall(index, seconds)
    this.#isHistoryOpen = true
    await befall(index, seconds)
    await sleep(HISTORY_SECONDS * 1000)
    this.#isHistoryOpen = false
  }

  #draw(): Trouble {
    const total = this.#kinds.reduce((sum, { weight }) => sum + weight, 0)
    let left = this.#random() * total
    return this.#kinds.find(({ weight }) => (left -= weight) < 0)!
  }

  #isBearable({ party, losesHistory }: Trouble, index: number): boolean {
    const inTrouble = (which: Trouble['party']): number =>
      [...this.#inTrouble].filter((whose) => whose.startsWith(which)).length
    if (this.#inTrouble.has(`${party} ${index}`) || inTrouble(party) >= this.#parties[party].most) return false
    // What Redis loses is lost for good where the gateway dies that did it last.
    if (losesHistory) return inTrouble('gateway') === 0
    return party !== 'gateway' || !this.#isHistoryOpen
  }
}
