import { withTimeout } from '../base/withTimeout.ts'
import { Fifo } from '../base/fifo.ts'
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
  #isStopped = false

  constructor(options: PollerOptions) {
    this.#options = options
  }

  /** Begins to poll a node that is listed from now on; of many a few in each turn. */
  add(node: TrackedNode): void {
    this.#starting.push(node)
    if (this.#isStarting) return
    this.#isStarting = true
    setImmediate(() => this.#startSome())
  }

  remove(node: TrackedNode): void {
    this.#pollers.get(node)?.stop()
    this.#pollers.delete(node)
  }

  stop(): void {
    this.#isStopped = true
    for (const poller of this.#pollers.values()) poller.stop()
  }

  of(node: TrackedNode): Poller | undefined {
    return this.#pollers.get(node)
  }

  /** Polls again those of the nodes whose last poll is no longer up to date, and waits for that at most `seconds`. */
  async freshen(nodes: readonly TrackedNode[], seconds: number): Promise<void> {
    const maxAge = Math.max(FRESH_SECONDS, nodes.length / MOST_FRESH_POLLS_PER_SECOND)
    const polls = nodes.flatMap((node) => this.of(node)?.fresh(maxAge) ?? [])
    if (polls.length > 0) await withTimeout(Promise.all(polls), seconds)
  }

  #startSome(): void {
    if (this.#isStopped) return
    for (let left = STARTS_A_TURN; left > 0; left--) {
      const node = this.#starting.shift()
      // It may have been taken out of the list before its turn came, and be back by now.
      if (node && !node.isRetired && !this.#pollers.has(node)) this.#startOne(node)
    }
    this.#isStarting = this.#starting.size > 0
    if (this.#isStarting) setImmediate(() => this.#startSome())
  }

  #startOne(node: TrackedNode): void {
    const poller = new Poller(node, this.#options)
    this.#pollers.set(node, poller)
    poller.start()
  }
}
