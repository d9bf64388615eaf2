import type { IncomingHttpHeaders } from 'node:http'
import type { Duplex, Readable } from 'node:stream'
import type { GatewayFault } from '../faults.ts'
import type { FlatHeaders } from './headers.ts'

/** One request as it goes to one backend. */
export interface BackendRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly path: string
  readonly headers: FlatHeaders
  readonly body: Buffer | Readable | null
  /** Whether its connection is closed after it. */
  readonly reset?: boolean
  /** The protocol that its connection shall speak from then on. */
  readonly upgrade?: 'websocket'
}

/** A backend's answer, read to its end. */
export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** Takes an answer piece by piece. */
export interface AnswerSink {
  /** Whether an answer with this head is taken; otherwise it is collected. */
  begin(status: number, headers: IncomingHttpHeaders, flow: Flow): boolean
  /** Whether it may still take an answer that it did not take at its head. */
  readonly takesLate?: boolean
  /** Takes such an answer, because it is too large or too slow to be collected. */
  beginLate?(status: number, headers: IncomingHttpHeaders, flow: Flow): void
  piece(chunk: Buffer): void
  /** The backend speaks the other protocol from now on. The try ends when this is settled. */
  switched?(headers: IncomingHttpHeaders, backend: Duplex): Promise<void>
  /** The answer is complete. The try ends when this is settled; where it rejects, with a fault of ours. */
  end(): void | Promise<void>
  /** The response ended prematurely after `begin`. The try ends when this is settled; where it rejects, with a fault of ours. */
  broke(fault: GatewayFault): void | Promise<void>
}

/** Backpressure towards the backend. */
export interface Flow {
  pause(): void
  resume(): void
}
