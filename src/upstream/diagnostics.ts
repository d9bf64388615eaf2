import { channel } from 'node:diagnostics_channel'
import type { TrackedNode } from '../fleet/node.ts'
import type { BackendRequest } from './answer.ts'
import type { FlatHeaders } from './headers.ts'
import type { AttemptEnd } from './settle.ts'

/*
 * What happens on the way to backends, for traces and whoever else listens (`node:diagnostics_channel`). Nothing is made for a
 * channel that nobody listens to.
 */

/** An attempt is about to be sent. A listener may set `traceparent` (W3C Trace Context): the backend's parent is then this attempt. */
export interface AttemptStart {
  readonly node: TrackedNode
  /** 1 for the first try of a request, or of the first item of a batch's part. */
  readonly attempt: number
  /** The kind of work, by which backends are compared. */
  readonly kind: string
  /** As the request has it so far. */
  traceparent: string | undefined
  /** Set before it is told. */
  request: Pick<BackendRequest, 'method' | 'path'>
  /** `X-Request-Id` as it goes out: of a job that is run again, the job's. */
  requestId: string | undefined
}

/** The same attempt has ended, and is settled. */
export interface AttemptSettled {
  readonly start: AttemptStart
  readonly end: AttemptEnd
  /** Whether the request had been handed to a connection. */
  readonly sent: boolean
}

/** Messages are `AttemptStart`. */
export const attemptStarts = channel('infernet-gateway:attempt:start')
/** Messages are `AttemptSettled`. */
export const attemptEnds = channel('infernet-gateway:attempt:end')

/** Tells of an attempt's start; returns the headers that go out, which may name the attempt as parent. */
export function tellStart(start: AttemptStart, request: BackendRequest): FlatHeaders {
  const { headers } = request
  const at = valueAt(headers, 'traceparent')
  start.request = request
  start.requestId = headers[valueAt(headers, 'x-request-id')]
  start.traceparent = headers[at]
  attemptStarts.publish(start)
  const { traceparent } = start
  if (traceparent === undefined || traceparent === headers[at]) return headers
  // Other tries share the list.
  return at < headers.length ? headers.with(at, traceparent) : [...headers, 'traceparent', traceparent]
}

/** Where the value of a header is; names and values alternate, and a value may read like a name. */
function valueAt(headers: FlatHeaders, name: string): number {
  for (let index = 0; index < headers.length; index += 2) if (headers[index] === name) return index + 1
  return headers.length
}

/** Tells of its end. */
export function tellEnd(settled: AttemptSettled): void {
  attemptEnds.publish(settled)
}

/** Whether anybody hears of attempts. */
export function isListenedTo(): boolean {
  return attemptStarts.hasSubscribers || attemptEnds.hasSubscribers
}
