import { TraceFlags, type SpanContext } from '@opentelemetry/api'
import type { IncomingHttpHeaders } from 'node:http'

const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-([0-9a-f]{2})$/
/** With or without its dashes. */
const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i

/** The span of the client that a request names as its parent (W3C Trace Context). */
export function parentOf({ traceparent }: IncomingHttpHeaders): SpanContext | undefined {
  const [, traceId, spanId, flags = '00'] = TRACEPARENT.exec(String(traceparent)) ?? []
  if (traceId === undefined || spanId === undefined) return undefined
  const traceFlags = parseInt(flags, 16) & TraceFlags.SAMPLED
  return { traceId, spanId, traceFlags, isRemote: true }
}

/** A span as the parent of what a backend does. */
export function traceparentFor({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`
}

/** The id of the trace of a request, where that can be its own: whoever has a line of the log finds the trace. */
export function traceIdOf(requestId: string): string | undefined {
  if (!UUID.test(requestId)) return undefined
  const id = requestId.replaceAll('-', '').toLowerCase()
  return /^0+$/.test(id) ? undefined : id
}
