import { serviceAddressOf, type NodeSpec } from './address.ts'
import type { Fleet } from './fleet.ts'
import type { TrackedNode } from './node.ts'

/** How long a report stands that no other follows, seconds. Workers report every ten. */
export const REPORT_SECONDS = 60

/** What a worker says of itself. */
export interface WorkerReport {
  /** Why it takes no work; undefined where it does. */
  readonly notReady: string | undefined
  /** Requests that it works on; undefined where it does not say. */
  readonly pending: number | undefined
}

/**
 * What workers report of themselves, as a poll would have found it. A worker that says it takes no work gets none, although it
 * answers polls. One that is silent afterwards counts by its polls again.
 */
export class WorkerReports {
  readonly #fleet: Fleet
  /** Of workers that take no work: when their reports expire. */
  readonly #expiries = new Map<TrackedNode, NodeJS.Timeout>()

  constructor(fleet: Fleet) {
    this.#fleet = fleet
    fleet.on('node:removed', (node) => this.#ready(node))
  }

  /** Listed backends at the address that a worker reports, which knows nothing of a path that it may be listed with. */
  nodesAt(address: NodeSpec): TrackedNode[] {
    return [...this.#fleet.nodes.values()].filter(({ spec }) => {
      // Services at one address have keys of their own.
      const key = spec.kind === 'openai' ? serviceAddressOf(spec) : spec.key
      return key === address.key || (address.basePath === '' && key.startsWith(`${address.key}/`))
    })
  }

  /** Takes over what a worker says. */
  take(node: TrackedNode, { notReady, pending }: WorkerReport): void {
    if (pending !== undefined) node.load.polled(this.#fleet.now(), pending)
    if (notReady === undefined) this.#ready(node)
    else this.#notReady(node, notReady)
  }

  stop(): void {
    for (const timer of this.#expiries.values()) clearTimeout(timer)
    this.#expiries.clear()
  }

  #notReady(node: TrackedNode, reason: string): void {
    const wasReady = node.notReady === undefined
    node.notReady = reason
    clearTimeout(this.#expiries.get(node))
    this.#expiries.set(node, setTimeout(() => this.#ready(node), REPORT_SECONDS * 1000).unref())
    if (!wasReady) return
    this.#fleet.version++
    if (node.health.isHealthy) this.#fleet.emit('node:down', node, reason)
  }

  #ready(node: TrackedNode): void {
    if (node.notReady === undefined) return
    node.notReady = undefined
    clearTimeout(this.#expiries.get(node))
    this.#expiries.delete(node)
    this.#fleet.version++
    if (node.isReachable) this.#fleet.emit('node:up', node)
    // It may have more to tell now than at its last poll.
    this.#fleet.pollSoon(node)
  }
}
