import type { Ledger } from '../ledger.ts'
import type { PortableState } from '../portable.ts'

/** Where state is copied from. Nothing else uses it meanwhile. */
export interface CopySource {
  readonly ledger: Ledger
  readonly state: PortableState
  /** The private key of tickets as PEM, where one is kept there. */
  ticketKey(): Promise<string | undefined>
  close(): Promise<void>
}

/** Where state is copied to: a place that was empty. Until `complete` no gateway starts on it. */
export interface CopyTarget {
  readonly ledger: Ledger
  readonly state: PortableState
  setTicketKey(pem: string): Promise<void>
  /** Makes everything durable and lets gateways start on it. */
  complete(): Promise<void>
  /** After a failure: removes what was written where that is safe, else returns how the operator does that. */
  giveUp(): Promise<string | undefined>
}

/** Nothing is removed while it is copied, neither for its age nor for its size: the gateway does that when it starts. */
export const KEEP_ALL = { maxBytes: Number.MAX_SAFE_INTEGER, ttlMs: 100 * 365 * 24 * 3_600_000 }
