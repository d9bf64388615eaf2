import { isEventStream } from '../eventStream.ts'
import { TextAtPath } from './textAtPath.ts'

/** An id that is not within the first bytes of an answer is not looked for any further. */
const MAX_READ = 256 * 1024
const NEWLINE = 0x0a
const DATA = Buffer.from('data:')

/**
 * Watches an answer of `POST /v1/responses` go by and tells the response's id as soon as it is seen: the top-level `id` of an
 * answer in JSON, `response.id` of an event.
 */
export class ResponseIdWatch {
  readonly #tell: (id: string) => void
  readonly #isEvents: boolean
  #text: TextAtPath | undefined
  #read = 0
  /** How many bytes of `data:` the line so far consists of; -1 where it is another line. */
  #matched = 0

  constructor(contentType: string | undefined, tell: (id: string) => void) {
    this.#tell = tell
    this.#isEvents = isEventStream(contentType)
    if (!this.#isEvents) this.#text = new TextAtPath(['id'])
  }

  see(chunk: Buffer): void {
    if (this.#read >= MAX_READ) return
    this.#read += chunk.length
    if (this.#isEvents) this.#seeEvents(chunk)
    else if (this.#text?.read(chunk)) this.#end(this.#text)
  }

  #seeEvents(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length && this.#read < MAX_READ) {
      if (!this.#text && this.#matched >= 0) {
        at = this.#seeLineStart(chunk, at)
        continue
      }
      const newline = chunk.indexOf(NEWLINE, at)
      const end = newline < 0 ? chunk.length : newline
      if (this.#text?.read(chunk, at, end)) return this.#end(this.#text)
      at = end + 1
      if (newline >= 0) {
        this.#text = undefined
        this.#matched = 0
      }
    }
  }

  #seeLineStart(chunk: Buffer, at: number): number {
    if (chunk[at] === NEWLINE) {
      this.#matched = 0
      return at + 1
    }
    if (chunk[at] !== DATA[this.#matched]) {
      this.#matched = -1
      return at
    }
    if (++this.#matched === DATA.length) this.#text = new TextAtPath(['response', 'id'])
    return at + 1
  }

  #end({ found }: TextAtPath): void {
    this.#read = MAX_READ
    this.#text = undefined
    if (found !== undefined) this.#tell(found)
  }
}
