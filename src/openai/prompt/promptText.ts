import { PrefixChain } from '../../dispatch/index.ts'
import type { JsonCursor } from '../../json/index.ts'

/** What stands before each kind of text in a chain. */
const Mark = {
  message: 1,
  content: 2,
  call: 3,
  args: 4,
  result: 5,
  other: 6,
  tools: 7,
  salt: 8,
  prompt: 9,
} as const

/** Characters of a prompt that are read: far more than any engine takes. What follows has no numbers. */
const MOST_CHARACTERS = 4 * 1024 * 1024

/** Messages, parts and calls that are read, so that millions of empty ones cost little. */
const MOST_VALUES = 100_000

/** Bytes that are read in one step. */
const STEP_BYTES = 128 * 1024

/** A longer value, such as the data of an image, counts by its length, its beginning and its end, bytes as written. */
const LONGEST_VALUE = 256
const SAMPLE = 16 * 1024

/** Of a role, or of a tool's name, no more is read, bytes. */
const LONGEST_NAME = 512

/** Takes the text of a JSON string; see `PrefixChain.addJson`. */
export interface TextTaker {
  addJson(bytes: Buffer, at: number, stop: number): number
}

/** Writes the text of a prompt, or of an answer, to a chain. */
export class PromptText {
  readonly chain: PrefixChain
  /** The end of the last assistant message, characters. */
  historyCharacters = 0
  /** The state of the chain after the first user message. */
  firstTurn: number | undefined
  /** Where a string goes on of which a part has been read; 0 where there is none. */
  #from = 0
  #values = 0

  constructor(chain: PrefixChain = new PrefixChain()) {
    this.chain = chain
  }

  /** Whether no more is to be read. */
  get isFull(): boolean {
    return this.#values > MOST_VALUES || this.chain.length >= MOST_CHARACTERS
  }

  /** A message, a part of it or a call begins. */
  valueBegins(): void {
    this.#values++
  }

  beginMessage(role: string): void {
    this.chain.addUnit(Mark.message)
    this.chain.add(role)
    this.chain.addUnit(Mark.content)
  }

  /** The role is the string at an index. */
  beginMessageAt(bytes: Buffer, roleAt: number): void {
    this.chain.addUnit(Mark.message)
    this.#addName(bytes, roleAt)
    this.chain.addUnit(Mark.content)
  }

  messageEnded(isUser: boolean, isAssistant: boolean): void {
    if (isUser) this.firstTurn ??= this.chain.state
    if (isAssistant) this.historyCharacters = this.chain.length
  }

  /** A tool call; its arguments or input follow. The index is that of its name, a string, where it has one. */
  beginCall(bytes: Buffer, nameAt: number): void {
    this.chain.addUnit(Mark.call)
    if (nameAt >= 0) this.#addName(bytes, nameAt)
    this.chain.addUnit(Mark.args)
  }

  beginResult(): void {
    this.chain.addUnit(Mark.result)
  }

  beginPrompt(): void {
    this.chain.addUnit(Mark.prompt)
  }

  beginTools(): void {
    this.chain.addUnit(Mark.tools)
  }

  beginSalt(): void {
    this.chain.addUnit(Mark.salt)
  }

  beginOther(): void {
    this.chain.addUnit(Mark.other)
  }

  /** Reads the string at the cursor as text, or to another taker of it; false where that takes another step. */
  readString(cursor: JsonCursor, taker: TextTaker = this.chain): boolean {
    const { bytes, end } = cursor
    const from = this.#from > 0 ? this.#from : cursor.at + 1
    const next = taker.addJson(bytes, from, Math.min(end, from + STEP_BYTES))
    this.#from = 0
    if (next <= 0 && -next < end && !this.isFull) {
      this.#from = -next
      return false
    }
    cursor.at = next > 0 ? next : end
    return true
  }

  /** Bytes as they stand, a character each. Returns where to go on. */
  addBytes(bytes: Buffer, from: number, end: number): number {
    const stop = Math.min(end, from + STEP_BYTES)
    this.chain.addBytes(bytes, from, stop)
    return this.isFull ? end : stop
  }

  #addName(bytes: Buffer, at: number): void {
    this.chain.addJson(bytes, at + 1, Math.min(bytes.length, at + 1 + LONGEST_NAME))
  }

  /** A value of which no text is known. */
  value(bytes: Buffer, start: number, end: number): void {
    const { chain } = this
    if (end - start <= LONGEST_VALUE) return chain.addBytes(bytes, start, end)
    const sample = new PrefixChain()
    if (end - start <= 2 * SAMPLE) {
      sample.addBytes(bytes, start, end)
    } else {
      sample.addBytes(bytes, start, start + SAMPLE)
      sample.addBytes(bytes, end - SAMPLE, end)
    }
    chain.add(`${end - start} ${sample.state}`)
  }
}
