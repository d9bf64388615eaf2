import { withTimeout } from '../base/withTimeout.ts'
import type { TrackedNode } from './node.ts'

/** Whether anything is known of the fleet yet. Once ready, always ready: later on an empty fleet is an answer too. */
export class Readiness {
  /** Listed nodes whose first poll has not ended. */
  readonly #unknown = new Set<TrackedNode>()
  #areSourcesLoaded = false
  #isReady = false
  readonly #ready = Promise.withResolvers<void>()

  /** True once there is someone healthy, or nobody left whose first poll has not ended. */
  get isReady(): boolean {
    return this.#isReady
  }

  /** Waits until `isReady`, but no longer than `seconds`. Returns whether it is. */
  async wait(seconds: number): Promise<boolean> {
    if (this.#isReady) return true
    await withTimeout(this.#ready.promise, seconds)
    return this.#isReady
  }

  listed(node: TrackedNode): void {
    if (node.health.isHealthy) this.#becomeReady()
    else if (!node.isKnown) this.#unknown.add(node)
  }

  /** Its first poll has ended, or nobody lists it any more. */
  settled(node: TrackedNode): void {
    this.#unknown.delete(node)
    if (node.health.isHealthy) this.#becomeReady()
    else this.#check()
  }

  /** Every source has delivered its first list, or failed to. */
  sourcesLoaded(): void {
    this.#areSourcesLoaded = true
    this.#check()
  }

  #check(): void {
    if (this.#areSourcesLoaded && this.#unknown.size === 0) this.#becomeReady()
  }

  #becomeReady(): void {
    this.#isReady = true
    this.#unknown.clear()
    this.#ready.resolve()
  }
}
