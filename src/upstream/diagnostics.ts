import { channel } from 'node:diagnostics_channel'
import type { TrackedNode } from '../fleet/node.ts'
import type { FlatHeaders } from './headers.ts'
import type { AttemptEnd } from './settle.ts'

/*
 * What happens on the way to backends, for traces and whoever else listens (`node:diagnostics_channel`). Nothing is made for a
 * channel that nobody listens to.
 */

/** An attempt is about to be sent. A listener may set `traceparent` (W3C Trace Context): the backend's parent is then this attempt. */
export interface AttemptStart {
  readonly node: TrackedNode
  /** 1 for the first try of a request. */
  readonly attempt: number
  /** The kind of work, by which backends are compared. */
  readonly kind: string
  /** As the request has it so far. */
  traceparent: string | undefined
}

/** The same attempt has ended, and is settled. */
export interface AttemptSettled {
  readonly start: AttemptStart
  readonly end: AttemptEnd
  /** Whether the request had been handed to a connection. */
  readonly sent: boolean
}

/** Messages are `AttemptStart`. */
const attemptStart = channel('infernet-gateway:attempt:start')
/** Messages are `AttemptSettled`. */
const attemptEnd = channel('infernet-gateway:attempt:end')

/** Tells of an attempt's start; returns the headers that go out, which may name the attempt as parent. */
export function tellStart(start: AttemptStart, headers: FlatHeaders): FlatHeaders {
  const at = headers.indexOf('traceparent')
  start.traceparent = at < 0 ? undefined : headers[at + 1]
  attemptStart.publish(start)
  const { traceparent } = start
  if (traceparent === undefined || traceparent === headers[at + 1]) return headers
  // Other tries share the list.
  if (at < 0) return [...headers, 'traceparent', traceparent]
  return headers.with(at + 1, traceparent)
}

/** Tells of its end. */
export function tellEnd(settled: AttemptSettled): void {
  attemptEnd.publish(settled)
}

/** Whether anybody hears of attempts. */
export function isListenedTo(): boolean {
  return attemptStart.hasSubscribers || attemptEnd.hasSubscribers
}
