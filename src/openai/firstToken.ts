/** Events that services send before they have generated anything. */
const EARLY_EVENTS: ReadonlySet<string> = new Set([
  ...['response.created', 'response.queued', 'response.in_progress'],
  'ping',
])

/** How much of a piece is looked at, bytes: the token of a longer one shows in the next. */
const LOOKED_AT = 8192
/** The first byte of `data:`. */
const D = 0x64

/**
 * Finds the piece of a streamed answer that brings its first token: the first that has an event, comments (which keep a connection
 * open) and events from before the first token aside.
 */
export class FirstToken {
  /** When it came, ms, by `performance.now()`; 0 as long as it has not. */
  at = 0
  #isStream = false
  /** The event that the line before has named. */
  #event = ''

  /** An answer begins. One that is no stream of events has no first token. */
  begins(contentType: string | undefined): void {
    this.#isStream = contentType?.startsWith('text/event-stream') === true
    this.at = 0
    this.#event = ''
  }

  /** Looks at the next piece; returns whether it is the one. */
  see(chunk: Buffer): boolean {
    if (!this.#isStream || this.at > 0 || !this.#hasToken(chunk)) return false
    this.at = performance.now()
    return true
  }

  #hasToken(chunk: Buffer): boolean {
    if (this.#event === '' && chunk[0] === D && chunk.toString('latin1', 0, 5) === 'data:') return true
    const lines = chunk.toString('latin1', 0, LOOKED_AT).split(/\r?\n/)
    // What follows the last line break is no line yet.
    if (lines.at(-1) === '') lines.pop()
    for (const line of lines) {
      if (line.startsWith('data:') && !EARLY_EVENTS.has(this.#event)) return true
      if (line.startsWith('event:')) this.#event = line.slice(6).trim()
      else if (line === '') this.#event = ''
    }
    return false
  }
}
