import { isEventStream } from './eventStream.ts'

/** Bytes of an event, or of a whole answer, that are no text of the reply. */
const FRAME_BYTES = 300
/** Bytes of a reply for one token, beyond its frame. */
const BYTES_PER_TOKEN = 4

const DATA = 'data:'
const DATA_LINE = '\ndata:'

/**
 * Estimates the tokens of a reply from what was seen of it, for answers without usage: engines send one event for each token, or a
 * few, and what events are longer than usual is text.
 */
export class SeenTokens {
  #isStream = false
  #bytes = 0
  #events = 0

  /** An answer begins. */
  begin(contentType: string | undefined): void {
    this.#isStream = isEventStream(contentType)
    this.#bytes = 0
    this.#events = 0
  }

  see(chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#isStream) this.#events += eventsIn(chunk)
  }

  /** 0 while nothing was seen. */
  get tokens(): number {
    if (this.#bytes === 0) return 0
    const frames = this.#isStream ? this.#events : 1
    return Math.max(frames, Math.ceil((this.#bytes - frames * FRAME_BYTES) / BYTES_PER_TOKEN))
  }
}

/** Events that begin in a piece of a stream. One whose first bytes are cut in two may be missed. */
function eventsIn(chunk: Buffer): number {
  let count = chunk.toString('latin1', 0, DATA.length) === DATA ? 1 : 0
  for (let at = chunk.indexOf(DATA_LINE); at >= 0; at = chunk.indexOf(DATA_LINE, at + DATA_LINE.length)) count++
  return count
}
