import { Fifo } from '../fifo.ts'
import { nextTurn } from '../turns.ts'
import type { TrackedNode } from './node.ts'
import { Poller, type PollerOptions } from './poller.ts'

/** Pollers that are started in one turn of the event loop: a list may name thousands. */
const STARTS_A_TURN = 32
/** What a poll said is up to date for so long, at least; in large fleets for longer, so that polls on demand stay cheap. */
const FRESH_SECONDS = 1
const MOST_FRESH_POLLS_PER_SECOND = 200

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

  /** Polls again those of the nodes whose last poll is no longer up to date, and waits for that at most `seconds`. */
  async freshen(nodes: readonly TrackedNode[], seconds: number): Promise<void> {
    const maxAge = Math.max(FRESH_SECONDS, nodes.length / MOST_FRESH_POLLS_PER_SECOND)
    const polls = nodes.flatMap((node) => this.of(node)?.fresh(maxAge) ?? [])
    if (polls.length === 0) return
    const late = Promise.withResolvers<void>()
    const timer = setTimeout(late.resolve, seconds * 1000)
    await Promise.race([Promise.all(polls), late.promise])
    clearTimeout(timer)
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
