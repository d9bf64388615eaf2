/** What goes wrong: one trouble after the other, drawn by a seed; each ends by itself. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { SpawnedFakeNode } from '../kit/fakeNode/index.ts'
import { exponential } from '../kit/routingSimulation/random.ts'
import type { World } from './world.ts'

/** Mean seconds from one trouble to the next. */
const MEAN_GAP_SECONDS = 0.8
/** Nodes that are in trouble at the same time, at most: somebody has to do the work. */
const MOST_NODES_IN_TROUBLE = 3

type NodeTrouble = (node: SpawnedFakeNode, seconds: number) => Promise<void>

const NODE_TROUBLES: Readonly<Record<string, NodeTrouble>> = {
  'node killed': async (node, seconds) => {
    await node.kill()
    await sleep(seconds * 1000)
    await node.start()
  },
  'node stopped and started': async (node, seconds) => {
    await node.stop()
    await sleep(seconds * 250)
    await node.start()
  },
  'node hung': async (node, seconds) => {
    node.pause()
    await sleep(seconds * 2000)
    node.resume()
  },
  'node without memory': async (node) => node.forget(),
  'connections cut': async (node) => node.cut(),
  'node refusing': async (node, seconds) => {
    await node.refuse()
    await sleep(seconds * 1000)
    await node.comeBack()
  },
}

type GatewayTrouble = (gateway: World['gateway'], seconds: number) => Promise<void>

const GATEWAY_TROUBLES: Readonly<Record<string, GatewayTrouble>> = {
  'gateway killed': async (gateway, seconds) => {
    await gateway.kill()
    await sleep(seconds * 200)
    await gateway.restart()
  },
  'gateway hung': async (gateway, seconds) => {
    gateway.signal('SIGSTOP')
    await sleep(seconds * 500)
    gateway.signal('SIGCONT')
  },
}

/** Which trouble is drawn how often. */
const WEIGHTS: readonly (readonly [string, number])[] = [
  ['node killed', 4],
  ['node stopped and started', 2],
  ['node hung', 3],
  ['node without memory', 2],
  ['connections cut', 2],
  ['node refusing', 2],
  ['gateway killed', 2],
  ['gateway hung', 1],
]

export class Troubles {
  /** How often each came. */
  readonly counts = new Map<string, number>()
  readonly #world: World
  readonly #random: () => number
  readonly #tell: (line: string) => void
  readonly #nodesInTrouble = new Set<SpawnedFakeNode>()
  #isGatewayInTrouble = false
  readonly #open = new Set<Promise<void>>()

  constructor(world: World, random: () => number, tell: (line: string) => void) {
    this.#world = world
    this.#random = random
    this.#tell = tell
  }

  /** Makes trouble until the signal; resolves when the last one is over. Rejects if a process does not come back. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(exponential(this.#random, MEAN_GAP_SECONDS) * 1000, undefined, { signal }).catch(() => undefined)
      if (!signal.aborted) this.#begin()
    }
    await Promise.all(this.#open)
  }

  #begin(): void {
    const name = this.#drawName()
    const seconds = 0.5 + exponential(this.#random, 2)
    const node = this.#world.nodes[Math.floor(this.#random() * this.#world.nodes.length)]!
    const trouble = name.startsWith('gateway') ? this.#ofGateway(name, seconds) : this.#ofNode(name, node, seconds)
    if (!trouble) return
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1)
    const open = trouble.finally(() => this.#open.delete(open))
    // Looked at in `run`, by which time it may have failed long ago.
    open.catch(() => undefined)
    this.#open.add(open)
  }

  #drawName(): string {
    const total = WEIGHTS.reduce((sum, [, weight]) => sum + weight, 0)
    let left = this.#random() * total
    return WEIGHTS.find(([, weight]) => (left -= weight) < 0)![0]
  }

  /** `undefined` where it would be too much. */
  #ofNode(name: string, node: SpawnedFakeNode, seconds: number): Promise<void> | undefined {
    if (this.#nodesInTrouble.has(node) || this.#nodesInTrouble.size >= MOST_NODES_IN_TROUBLE) return undefined
    this.#tell(`${name}: ${node.address} (${seconds.toFixed(1)})`)
    this.#nodesInTrouble.add(node)
    return NODE_TROUBLES[name]!(node, seconds).finally(() => this.#nodesInTrouble.delete(node))
  }

  #ofGateway(name: string, seconds: number): Promise<void> | undefined {
    if (this.#isGatewayInTrouble) return undefined
    this.#tell(`${name} (${seconds.toFixed(1)})`)
    this.#isGatewayInTrouble = true
    return GATEWAY_TROUBLES[name]!(this.#world.gateway, seconds).finally(() => (this.#isGatewayInTrouble = false))
  }
}
