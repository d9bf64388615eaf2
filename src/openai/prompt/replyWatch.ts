import type { PrefixChain, Prompt } from '../../dispatch/index.ts'
import { JsonCursor, JsonSyntaxError } from '../../json/index.ts'
import { EventLines, type EventTaker } from './eventLines.ts'
import { PromptText } from './promptText.ts'
import { BlocksText, ChoicesText, OutputText, type ReplyText } from './replyText.ts'

/** Longest answer in one piece that is read, bytes. */
const LONGEST_ANSWER = 256 * 1024

/**
 * Reads an answer on into the chain of its prompt as it passes, so that the chain is that of the next turn up to its new message.
 * Keeps no more than a line, or an answer in one piece, of 256 kB.
 */
export class ReplyWatch implements EventTaker {
  readonly #prompt: Prompt
  readonly #path: string
  #reader: ReplyText | undefined
  #text: PromptText | undefined
  #lines: EventLines | undefined
  #pieces: Buffer[] | undefined
  #size = 0
  #isLost = false

  /** `path`: that of the request, behind the prefix. */
  constructor(prompt: Prompt, path: string) {
    this.#prompt = prompt
    this.#path = path
  }

  /** At the head of an answer that serves the request. */
  begin(contentType: string | undefined): void {
    this.#isLost = false
    this.#size = 0
    this.#text = new PromptText(this.#prompt.chain.fork())
    this.#reader = readerFor(this.#path, this.#text)
    const isEvents = contentType !== undefined && /^text\/event-stream\b/i.test(contentType)
    this.#lines = isEvents ? new EventLines(this) : undefined
    this.#pieces = isEvents ? undefined : []
  }

  see(chunk: Buffer): void {
    if (this.#isLost || !this.#reader) return
    if (this.#lines) return this.#lines.see(chunk)
    this.#size += chunk.length
    this.#pieces?.push(chunk)
    if (this.#size > LONGEST_ANSWER) this.#lose()
  }

  event(bytes: Buffer, start: number, end: number): void {
    if (!this.#isLost) this.#read((reader) => reader.event(new JsonCursor(bytes, start, end)))
  }

  lost(): void {
    if (this.#reader?.mayLose !== true) this.#lose()
  }

  /** After the last piece: the chain with the reply; undefined where it could not be followed. To be asked once. */
  chain(): PrefixChain | undefined {
    const pieces = this.#pieces
    if (pieces && !this.#isLost) {
      const [first] = pieces
      const bytes = first && pieces.length === 1 ? first : Buffer.concat(pieces)
      const cursor = new JsonCursor(bytes)
      if (cursor.isObject) this.#read((reader) => reader.answer(cursor))
      else this.#lose()
    }
    if (!this.#isLost) this.#reader?.end()
    const chain = this.#isLost ? undefined : this.#text?.chain
    this.#lose()
    return chain
  }

  #read(read: (reader: ReplyText) => boolean): void {
    try {
      if (!this.#reader || !read(this.#reader)) this.#lose()
    } catch (error) {
      if (!(error instanceof JsonSyntaxError)) throw error
      this.#lose()
    }
  }

  /** Follows no more, and lets go of what was kept. */
  #lose(): void {
    this.#isLost = true
    this.#lines = this.#pieces = this.#reader = this.#text = undefined
  }
}

function readerFor(path: string, text: PromptText): ReplyText {
  if (/^\/messages/i.test(path)) return new BlocksText(text)
  if (/^\/responses/i.test(path)) return new OutputText(text)
  return new ChoicesText(text, /^\/chat\//i.test(path))
}
