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
const NONE = Buffer.alloc(0)

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
  /** Whether the answer is one value, which is read at its end. */
  #isWhole = false
  /** All of it that has come, where that is one piece, as it mostly is. */
  #onlyPiece: Buffer | undefined
  /** All of it that has come, where that is several pieces. */
  #pieces: KeptBytes | undefined

  /** `memory`: counts what is kept, and is released with the request. */
  constructor(prompt: Prompt, dialect: Dialect, memory: Reservation) {
    this.#prompt = prompt
    this.#dialect = dialect
    this.#memory = memory
  }

  /** At the head of an answer that serves the request. */
  begin(contentType: string | undefined): void {
    this.#lose()
    this.#isWhole = !isEventStream(contentType)
    if (this.#isWhole) return
    this.#beginText()
    this.#lines = new EventLines(this, this.#memory)
  }

  see(chunk: Buffer): void {
    if (this.#lines) return this.#lines.see(chunk)
    if (this.#isWhole && !this.#keep(chunk)) this.#lose()
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
    if (this.#isWhole) this.#readWhole()
    this.#reader?.end()
    const chain = this.#text?.chain
    this.#lose()
    return chain
  }

  #beginText(): ReplyText {
    this.#text = new PromptText(this.#prompt.chain.fork())
    return (this.#reader = readerFor(this.#dialect, this.#text))
  }

  /** Keeps a piece of a whole answer; false where it is too long, or there is no room. */
  #keep(piece: Buffer): boolean {
    if (this.#onlyPiece === undefined && this.#pieces === undefined) {
      if (piece.length > LONGEST_ANSWER || this.#memory.grow(piece.length)) return false
      this.#onlyPiece = piece
      return true
    }
    this.#pieces ??= new KeptBytes(this.#memory, LONGEST_ANSWER)
    const first = this.#onlyPiece
    if (first) {
      this.#letGoOfOnlyPiece()
      if (!this.#pieces.add(first)) return false
    }
    return this.#pieces.add(piece)
  }

  #letGoOfOnlyPiece(): void {
    if (this.#onlyPiece) this.#memory.shrink(this.#onlyPiece.length)
    this.#onlyPiece = undefined
  }

  #readWhole(): void {
    const { buffer, size } = this.#pieces ?? { buffer: this.#onlyPiece ?? NONE, size: this.#onlyPiece?.length ?? 0 }
    const cursor = new JsonCursor(buffer, 0, size)
    try {
      if (!cursor.isObject || !this.#beginText().answer(cursor)) this.#lose()
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
    this.#pieces?.drop()
    this.#letGoOfOnlyPiece()
    this.#isWhole = false
    this.#lines = this.#pieces = this.#reader = this.#text = undefined
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
