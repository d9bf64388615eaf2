import type { Engine } from './engine.ts'
import type { Session, Turn } from './workloads.ts'

export interface RoutedRequest {
  readonly session: Session
  readonly turn: Turn
  readonly isStreamed: boolean
}

/** An engine as one gateway sees it. */
export interface Place {
  readonly index: number
  readonly engine: Engine
  /** Unfinished requests of this gateway there. */
  own: number
}

/** What a gateway keeps of a request that it has placed. */
export interface Placing {
  /** Of a streamed answer. */
  firstToken(): void
  /** Exactly once. */
  ended(outcome: 'success' | 'failure' | 'cancelled'): void
}

/** How one gateway chooses. Several gateways share engines and nothing else. */
export interface Router {
  choose(request: RoutedRequest, places: readonly Place[]): Place
  /** The request has been placed; `own` counts it already. */
  placed?(request: RoutedRequest, place: Place): Placing
  /** The engine is down, and with it its cache. */
  restarted?(place: Place): void
  /** It is up again. */
  back?(place: Place): void
  /** The engine's own metrics have been read. */
  polled?(place: Place): void
}
