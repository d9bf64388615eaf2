import type { ReplicaState } from './coordination.ts'

/** After a gap of this part of the timeout in our own looking, others must be silent for all of it anew. */
const GAP_SHARE = 0.5

export interface SeenReplica extends ReplicaState {
  /** Grows with each of its beats and writes; `undefined` where it is gone. */
  readonly number?: string
}

/**
 * Judges by our own monotonic clock alone which replicas are dead: those whose number has stood still for the whole timeout, in which
 * we looked again and again. After a gap in that, as when our process was stopped or the store away, nothing is known of the time
 * before.
 */
export class Observer {
  readonly #timeoutMs: number
  readonly #now: () => number
  readonly #seen = new Map<string, { readonly number: string; readonly since: number }>()
  #lookedAt = -Infinity

  constructor(timeoutMs: number, now: () => number) {
    this.#timeoutMs = timeoutMs
    this.#now = now
  }

  /** Which of the replicas are dead. `askedAt`: when the question was sent whose answer they are. */
  silent(replicas: readonly SeenReplica[], askedAt: number): SeenReplica[] {
    const now = this.#now()
    const hasGap = askedAt - this.#lookedAt > GAP_SHARE * this.#timeoutMs
    this.#lookedAt = now
    const living = replicas.filter(({ number }) => number !== undefined)
    const names = new Set(living.map(({ replica }) => replica))
    for (const replica of this.#seen.keys()) if (!names.has(replica)) this.#seen.delete(replica)
    return living.filter(({ replica, number }) => {
      const before = this.#seen.get(replica)
      // The number that was read stood there before now at the latest, and when this question was sent at the earliest.
      if (before?.number === number && !hasGap) return askedAt - before!.since >= this.#timeoutMs
      this.#seen.set(replica, { number: number!, since: now })
      return false
    })
  }
}
