import type { Reservation } from '../../base/index.ts'
import type { PrefixChain, Prompt } from '../../dispatch/index.ts'
import { JsonCursor, JsonSyntaxError } from '../../json/index.ts'
import type { Dialect } from '../dialect.ts'
import { isEventStream } from '../eventStream.ts'
import { EventLines, type EventTaker } from './eventLines.ts'
import { KeptBytes } from './keptBytes.ts'
import { PromptText } from './promptText.ts'
import { BlocksText, ChoicesText, OutputText, type ReplyText } from './replyText.ts'

/** Longest answer in one piece that is read, bytes. */
const LONGEST_ANSWER = 64 * 1024

/**
 * Reads an answer on into the chain of its prompt as it passes, so that the chain is that of the next turn up to its new message.
 * Keeps no more than a line, or an answer in one piece, of 64 kB, as far as the reservation has room.
 */
export class ReplyWatch implements EventTaker {
  readonly #prompt: Prompt
  readonly #dialect: Dialect
  readonly #memory: Reservation
  #reader: ReplyText | undefined
  #text: PromptText | undefined
  #lines: EventLines | undefined
  /** Of an answer in one piece. */
  #whole: KeptBytes | undefined

  /** `memory`: counts what is kept, and is released with the request. */
  constructor(prompt: Prompt, dialect: Dialect, memory: Reservation) {
    this.#prompt = prompt
    this.#dialect = dialect
    this.#memory = memory
  }

  /** At the head of an answer that serves the request. */
  begin(contentType: string | undefined): void {
    this.#lose()
    this.#text = new PromptText(this.#prompt.chain.fork())
    this.#reader = readerFor(this.#dialect, this.#text)
    if (isEventStream(contentType)) this.#lines = new EventLines(this, this.#memory)
    else this.#whole = new KeptBytes(this.#memory, LONGEST_ANSWER)
  }

  see(chunk: Buffer): void {
    if (this.#lines) return this.#lines.see(chunk)
    if (this.#whole && !this.#whole.add(chunk)) this.#lose()
  }

  event(bytes: Buffer, start: number, end: number): void {
    const reader = this.#reader
    if (!reader) return
    try {
      if (!reader.event(new JsonCursor(bytes, start, end))) this.#lose()
    } catch (error) {
      this.#failed(error)
    }
  }

  lost(): void {
    if (this.#reader?.mayLose !== true) this.#lose()
  }

  /** After the last piece: the chain with the reply; undefined where it could not be followed. To be asked once. */
  chain(): PrefixChain | undefined {
    if (this.#whole) this.#readWhole(this.#whole)
    this.#reader?.end()
    const chain = this.#text?.chain
    this.#lose()
    return chain
  }

  #readWhole({ buffer, size }: KeptBytes): void {
    const cursor = new JsonCursor(buffer, 0, size)
    try {
      if (!cursor.isObject || !this.#reader?.answer(cursor)) this.#lose()
    } catch (error) {
      this.#failed(error)
    }
  }

  #failed(error: unknown): void {
    if (!(error instanceof JsonSyntaxError)) throw error
    this.#lose()
  }

  /** Follows no more, and lets go of what was kept. */
  #lose(): void {
    this.#lines?.end()
    this.#whole?.drop()
    this.#lines = this.#whole = this.#reader = this.#text = undefined
  }
}

function readerFor(dialect: Dialect, text: PromptText): ReplyText {
  switch (dialect) {
    case 'messages':
      return new BlocksText(text)
    case 'responses':
      return new OutputText(text)
    case 'chat':
    case 'completions':
      return new ChoicesText(text, dialect === 'chat')
  }
}
