import type { TrackedNode } from './node.ts'
import type { Pollers } from './pollers.ts'
import type { Prober } from './probe.ts'

/** Pause between two looks at a node that requests wait for, ms. */
const LOOK_PAUSE_MS = 100
/** Nodes that are looked at, each all the time; of those beyond that are waited for, the next poll tells. */
const MOST_LOOKED_AT = 64

type Wake = () => void

/** Requests that wait for nodes which take no connections at the moment. While anybody waits, a node is looked at again and again. */
export class Returns {
  readonly #prober: Pick<Prober, 'answers' | 'isSilent'>
  readonly #pollers: Pollers
  readonly #waiting = new Map<TrackedNode, Set<Wake>>()
  readonly #lookedAt = new Set<TrackedNode>()
  /** Looks for `isAway` that are under way. */
  readonly #looks = new Map<TrackedNode, Promise<boolean>>()

  constructor(prober: Pick<Prober, 'answers' | 'isSilent'>, pollers: Pollers) {
    this.#prober = prober
    this.#pollers = pollers
  }

  /**
   * Waits until one of the nodes has answered, at most this long. Returns whether one has.
   *
   * @throws the signal's reason
   */
  async wait(nodes: readonly TrackedNode[], seconds: number, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<boolean>()
    const wake = (): void => resolve(true)
    // The reason is a fault.
    const abort = (): void => reject(signal.reason as Error)
    const timer = setTimeout(() => resolve(false), seconds * 1000)
    signal.addEventListener('abort', abort)
    for (const node of nodes) this.#enter(node, wake)
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      for (const node of nodes) this.#leave(node, wake)
    }
  }

  /**
   * Whether nothing answers at the node at the moment. All who ask at the same time share one look.
   *
   * @throws the signal's reason
   */
  async isAway(node: TrackedNode, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted()
    let look = this.#looks.get(node)
    if (!look) {
      look = this.#prober.isSilent(node).finally(() => this.#looks.delete(node))
      this.#looks.set(node, look)
    }
    const left = Promise.withResolvers<never>()
    // The reason is a fault.
    const abort = (): void => left.reject(signal.reason as Error)
    signal.addEventListener('abort', abort)
    try {
      return await Promise.race([look, left.promise])
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  /** The node has answered a poll or a request. */
  answered(node: TrackedNode): void {
    for (const wake of this.#waiting.get(node) ?? []) wake()
  }

  /** Ends all waits, as if their nodes had answered. */
  wakeAll(): void {
    for (const node of this.#waiting.keys()) this.answered(node)
  }

  #enter(node: TrackedNode, wake: Wake): void {
    const waiting = this.#waiting.get(node)
    if (waiting) waiting.add(wake)
    else this.#waiting.set(node, new Set([wake]))
    if (this.#lookedAt.has(node) || this.#lookedAt.size >= MOST_LOOKED_AT) return
    this.#lookedAt.add(node)
    this.#lookLater(node)
  }

  #leave(node: TrackedNode, wake: Wake): void {
    const waiting = this.#waiting.get(node)
    waiting?.delete(wake)
    if (waiting?.size === 0) this.#waiting.delete(node)
  }

  #lookLater(node: TrackedNode): void {
    setTimeout(() => void this.#look(node), LOOK_PAUSE_MS).unref()
  }

  /** Beside its polls: one that fails says nothing new, and one that goes well brings the next poll forward, which counts. */
  async #look(node: TrackedNode): Promise<void> {
    if (this.#waiting.has(node) && (await this.#prober.answers(node))) this.#pollers.of(node)?.pollNow()
    if (this.#waiting.has(node)) this.#lookLater(node)
    else this.#lookedAt.delete(node)
  }
}
