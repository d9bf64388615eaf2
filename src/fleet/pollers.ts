import { Fifo } from '../fifo.ts'
import { nextTurn } from '../turns.ts'
import type { TrackedNode } from './node.ts'
import { Poller, type PollerOptions } from './poller.ts'

/** Pollers that are started in one turn of the event loop: a list may name thousands. */
const STARTS_A_TURN = 32

/** The pollers of all listed nodes. */
export class Pollers {
  readonly #options: PollerOptions
  readonly #pollers = new Map<TrackedNode, Poller>()
  /** Nodes whose pollers are still to be started. */
  readonly #starting = new Fifo<TrackedNode>()
  #isStarting = false

  constructor(options: PollerOptions) {
    this.#options = options
  }

  /** Begins to poll a node that is listed from now on; of many a few in each turn. */
  add(node: TrackedNode): void {
    this.#starting.push(node)
    if (!this.#isStarting) void this.#start()
  }

  remove(node: TrackedNode): void {
    this.#pollers.get(node)?.stop()
    this.#pollers.delete(node)
  }

  stop(): void {
    for (const poller of this.#pollers.values()) poller.stop()
  }

  of(node: TrackedNode): Poller | undefined {
    return this.#pollers.get(node)
  }

  async #start(): Promise<void> {
    this.#isStarting = true
    for (let started = 1; this.#starting.size > 0; started++) {
      const node = this.#starting.shift()
      // It may have been taken out of the list before its turn came, and be back by now.
      if (node && !node.isRetired && !this.#pollers.has(node)) this.#startOne(node)
      if (started % STARTS_A_TURN === 0) await nextTurn()
    }
    this.#isStarting = false
  }

  #startOne(node: TrackedNode): void {
    const poller = new Poller(node, this.#options)
    this.#pollers.set(node, poller)
    poller.start()
  }
}
