/** Whether an answer with this `Content-Type` is a stream of events (SSE). Media types are case-insensitive (RFC 9110, 8.3.1). */
export function isEventStream(contentType: string | undefined): boolean {
  // Mostly it is `application/json`, which needs no pattern.
  return contentType !== undefined && contentType !== 'application/json' && /^text\/event-stream\b/i.test(contentType)
}
