import type { WorkOutcome } from '../fleet/load/work.ts'
import type { TrackedNode } from '../fleet/node.ts'

/** Tokens of one request. */
export interface TokenCounts {
  readonly promptTokens: number
  readonly completionTokens: number
  /** Those of the prompt that came from a cache. */
  readonly cachedTokens?: number
}

/** Tells at the end of a request how much work it was. */
export interface WorkMeter {
  /** Undefined where the answer did not say. */
  usage(): TokenCounts | undefined
}

/** How a request ended. Monotonic seconds. */
export interface ChargeEnd {
  readonly outcome: WorkOutcome
  /** That it took. */
  readonly seconds: number
  readonly now: number
  /** Without it, its time tells how much work it was. */
  readonly meter: WorkMeter | undefined
}

/** What a request that is served costs its caller. */
export interface RunningCharge {
  /** To be called exactly once. */
  ended(node: TrackedNode, end: ChargeEnd): void
}
