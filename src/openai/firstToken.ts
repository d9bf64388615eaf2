import { isEventStream } from './eventStream.ts'

/** Events that services send before they have generated anything. */
const EARLY_EVENTS: ReadonlySet<string> = new Set([
  ...['response.created', 'response.queued', 'response.in_progress'],
  'ping',
])

/** Events in place of an answer. */
const ERROR_EVENTS: ReadonlySet<string> = new Set(['error', 'response.failed'])

/** Data in place of an answer: `{"error":…}`, `{"object":"error"…}`, `{"type":"error"…}`. */
const ERROR_DATA = /^data:\s*\{\s*"(?:error"\s*:(?!\s*null)|(?:object|type)"\s*:\s*"error")/

/** The end of a stream. */
const DONE = /^data:\s*\[DONE\]/

/** How much of a piece is looked at, bytes: the token of a longer one shows in the next. */
const LOOKED_AT = 8192

/** How much of a line is looked at, bytes: enough for the name of an event, and to tell errors. */
const LOOKED_AT_OF_LINE = 64

/**
 * Finds the piece of a streamed answer that brings its first token: the first that has an event, comments (which keep a connection
 * open) and events from before the first token aside. A stream that begins with an error has none.
 */
export class FirstToken {
  /** When it came, ms, by `performance.now()`; 0 as long as it has not. */
  at = 0
  #isAwaited = false
  /** The event that the line before has named. */
  #event = ''
  /** The beginning of a line that has not ended. */
  #rest = ''

  /** An answer begins. One that is no stream of events, or that does not serve the request, has no first token. */
  begin(status: number, contentType: string | undefined): void {
    this.#isAwaited = status < 300 && isEventStream(contentType)
    this.at = 0
    this.#event = ''
    this.#rest = ''
  }

  /** Looks at the next piece; returns whether it is the one. */
  see(chunk: Buffer): boolean {
    if (!this.#isAwaited || !this.#hasToken(chunk)) return false
    this.#isAwaited = false
    this.at = performance.now()
    return true
  }

  #hasToken(chunk: Buffer): boolean {
    const text = this.#rest + chunk.toString('latin1', 0, LOOKED_AT)
    this.#rest = ''
    for (let start = 0; start < text.length;) {
      const newline = text.indexOf('\n', start)
      const end = newline < 0 ? text.length : newline
      const line = text.slice(start, Math.min(end, start + LOOKED_AT_OF_LINE))
      if (newline < 0 && line.length < LOOKED_AT_OF_LINE) {
        this.#rest = line
        return false
      }
      if (line.startsWith('data:')) {
        if (ERROR_EVENTS.has(this.#event) || ERROR_DATA.test(line)) {
          this.#isAwaited = false
          return false
        }
        if (!EARLY_EVENTS.has(this.#event) && !DONE.test(line)) return true
      } else if (line.startsWith('event:')) {
        this.#event = line.slice(6).trim()
      } else if (line === '' || line === '\r') {
        this.#event = ''
      }
      start = end + 1
    }
    return false
  }
}
