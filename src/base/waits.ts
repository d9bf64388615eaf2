import { channel } from 'node:diagnostics_channel'

/** What a request waited for: a place at a backend, the first poll of backends, or the end of a job. */
export type WaitedFor = 'place' | 'backends' | 'job'

/** A request has waited. */
export interface Wait {
  readonly what: WaitedFor
  /** Monotonic, ms. */
  readonly startedAt: number
}

/** What is over sooner is no wait, ms. */
const SHORTEST_MS = 1

/** Messages are `Wait`. */
export const waits = channel('infernet-gateway:wait')

/** Publishes a wait that has ended. Without subscribers it does nothing. */
export function tellWait(what: WaitedFor, startedAt: number): void {
  if (!waits.hasSubscribers || performance.now() - startedAt < SHORTEST_MS) return
  const wait: Wait = { what, startedAt }
  waits.publish(wait)
}
