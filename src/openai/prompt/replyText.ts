import type { Steps } from '../../base/index.ts'
import { JsonCursor } from '../../json/index.ts'
import { ArgumentsText } from './argumentsText.ts'
import { itemSteps, partSteps } from './items.ts'
import type { PromptText, TextTaker } from './promptText.ts'

/*
 * What an answer said, event by event or as a whole, as the text that it will be in the next turn's prompt. Each dialect has its
 * own events; their members are looked at as they come, and the rest of an event is not read once it is known to say nothing.
 */

/** Reads the answers of one dialect. A method that throws, or returns false, cannot follow any more. */
export interface ReplyText {
  /** An event at the cursor. */
  event(cursor: JsonCursor): boolean
  /** The whole answer at the cursor. */
  answer(cursor: JsonCursor): boolean
  /** After the last event. */
  end(): void
  /** Whether events that are too long to be read may be left out. */
  readonly mayLose: boolean
}

function atOnce(steps: Steps<void> | undefined): void {
  while (steps && steps.next().done !== true);
}

function skip(cursor: JsonCursor): void {
  while (!cursor.skip());
}

function readString(cursor: JsonCursor, text: PromptText, taker?: TextTaker): void {
  while (!text.readString(cursor, taker));
}

/** A tool call whose arguments come in pieces. */
class OpenCall {
  readonly index: number
  readonly #text: PromptText
  #nameBytes: Buffer | undefined
  #args: ArgumentsText | undefined

  constructor(text: PromptText, index: number) {
    this.#text = text
    this.index = index
  }

  /** The name at the cursor; the first one counts. */
  name(cursor: JsonCursor): void {
    const { at } = cursor
    skip(cursor)
    if (!this.#nameBytes && cursor.at - at > 2) this.#nameBytes = Buffer.from(cursor.bytes.subarray(at, cursor.at))
  }

  /** A piece of the arguments at the cursor. */
  args(cursor: JsonCursor): void {
    if (cursor.isString && cursor.isText('')) skip(cursor)
    else if (cursor.isString) readString(cursor, this.#text, this.#begun())
    else skip(cursor)
  }

  end(): void {
    this.#begun().end()
  }

  #begun(): ArgumentsText {
    if (!this.#args) {
      this.#text.beginCall(this.#nameBytes ?? NO_NAME, this.#nameBytes ? 0 : -1)
      this.#args = new ArgumentsText(this.#text.chain)
    }
    return this.#args
  }
}

const NO_NAME = Buffer.alloc(0)

/** `/chat/completions` and `/completions`: of several choices the first one. */
export class ChoicesText implements ReplyText {
  readonly mayLose = false
  readonly #text: PromptText
  readonly #isChat: boolean
  #isBegun = false
  #call: OpenCall | undefined

  constructor(text: PromptText, isChat: boolean) {
    this.#text = text
    this.#isChat = isChat
  }

  event(cursor: JsonCursor): boolean {
    return this.#choices(cursor)
  }

  answer(cursor: JsonCursor): boolean {
    return this.#choices(cursor) && this.#isBegun
  }

  end(): void {
    this.#call?.end()
    this.#call = undefined
  }

  #choices(cursor: JsonCursor): boolean {
    cursor.enter()
    while (cursor.nextMember()) {
      if (cursor.isNamed('choices') && cursor.isArray) {
        cursor.enter()
        while (cursor.next()) if (!this.#choice(cursor)) return false
        return true
      }
      skip(cursor)
    }
    return true
  }

  #choice(cursor: JsonCursor): boolean {
    if (!cursor.isObject) {
      skip(cursor)
      return true
    }
    let saidAt = -1
    let isDelta = false
    let index = -1
    cursor.enter()
    while (cursor.nextMember()) {
      const isThis = cursor.isNamed('delta')
      if (cursor.isNamed('index')) {
        index = numberAt(cursor)
      } else if (isThis || cursor.isNamed('message') || (!this.#isChat && cursor.isNamed('text'))) {
        // Mostly the index comes first.
        if (index === 0) {
          if (!this.#said(cursor, isThis)) return false
          continue
        }
        saidAt = cursor.at
        isDelta = isThis
      }
      skip(cursor)
    }
    return saidAt < 0 || index > 0 || this.#said(new JsonCursor(cursor.bytes, saidAt, cursor.end), isDelta)
  }

  #said(cursor: JsonCursor, isDelta: boolean): boolean {
    if (this.#isChat ? !cursor.isObject : !cursor.isString) {
      skip(cursor)
      return true
    }
    const isBegun = this.#isBegun
    this.#isBegun = true
    if (!this.#isChat) {
      readString(cursor, this.#text)
    } else if (isDelta) {
      if (!isBegun) this.#text.beginMessage('assistant')
      return this.#delta(cursor)
    } else {
      atOnce(itemSteps(cursor, this.#text))
    }
    return true
  }

  #delta(cursor: JsonCursor): boolean {
    cursor.enter()
    while (cursor.nextMember()) {
      if (cursor.isNamed('content') && cursor.isString && !cursor.isText('')) {
        // The next turn's content is one text, before all calls.
        if (this.#call) return false
        readString(cursor, this.#text)
      } else if (cursor.isNamed('tool_calls') && cursor.isArray) {
        cursor.enter()
        while (cursor.next()) if (!this.#callDelta(cursor)) return false
      } else if (cursor.isNamed('function_call') && cursor.isObject) {
        this.#call ??= new OpenCall(this.#text, 0)
        functionDelta(cursor, this.#call)
      } else {
        skip(cursor)
      }
    }
    return true
  }

  #callDelta(cursor: JsonCursor): boolean {
    if (!cursor.isObject) {
      skip(cursor)
      return true
    }
    let index = this.#call?.index ?? 0
    let functionAt = -1
    cursor.enter()
    while (cursor.nextMember()) {
      if (cursor.isNamed('index')) index = numberAt(cursor)
      else if ((cursor.isNamed('function') || cursor.isNamed('custom')) && cursor.isObject) functionAt = cursor.at
      skip(cursor)
    }
    if (this.#call?.index !== index) {
      // Calls that are told by turns cannot be followed one after the other.
      if (this.#call && index < this.#call.index) return false
      this.#call?.end()
      this.#call = new OpenCall(this.#text, index)
    }
    if (functionAt >= 0) functionDelta(new JsonCursor(cursor.bytes, functionAt, cursor.end), this.#call)
    return true
  }
}

function functionDelta(cursor: JsonCursor, call: OpenCall): void {
  cursor.enter()
  while (cursor.nextMember()) {
    if (cursor.isNamed('name') && cursor.isString) call.name(cursor)
    else if (cursor.isNamed('arguments')) call.args(cursor)
    else skip(cursor)
  }
}

/** The whole number at the cursor; -1 where there is none. Does not move it. */
function numberAt({ bytes, at, end }: JsonCursor): number {
  let number = -1
  for (; at < end; at++) {
    const digit = bytes[at]! - 0x30
    if (digit < 0 || digit > 9) break
    number = Math.max(0, number) * 10 + digit
  }
  return number
}

/** `/messages`: blocks, one after the other. */
export class BlocksText implements ReplyText {
  readonly mayLose = false
  readonly #text: PromptText
  #call: OpenCall | undefined
  #isBegun = false

  constructor(text: PromptText) {
    this.#text = text
  }

  event(cursor: JsonCursor): boolean {
    cursor.enter()
    while (cursor.nextMember()) {
      if (cursor.isNamed('delta') && cursor.isObject) this.#delta(cursor)
      else if (cursor.isNamed('content_block') && cursor.isObject) this.#block(cursor)
      else skip(cursor)
    }
    return true
  }

  answer(cursor: JsonCursor): boolean {
    atOnce(itemSteps(cursor, this.#text))
    return true
  }

  end(): void {
    this.#call?.end()
    this.#call = undefined
  }

  #begin(): void {
    if (!this.#isBegun) this.#text.beginMessage('assistant')
    this.#isBegun = true
  }

  #block(cursor: JsonCursor): void {
    this.#begin()
    this.end()
    const { bytes, at, end } = cursor
    let isCall = false
    let nameAt = -1
    cursor.enter()
    while (cursor.nextMember()) {
      if (cursor.isNamed('name') && cursor.isString) nameAt = cursor.at
      else if (cursor.isNamed('input')) isCall = true
      skip(cursor)
    }
    if (isCall && nameAt >= 0) {
      this.#call = new OpenCall(this.#text, 0)
      this.#call.name(new JsonCursor(bytes, nameAt, end))
    } else {
      atOnce(partSteps(new JsonCursor(bytes, at, end), this.#text))
    }
  }

  #delta(cursor: JsonCursor): void {
    cursor.enter()
    while (cursor.nextMember()) {
      if (cursor.isNamed('text') && cursor.isString) {
        this.#begin()
        readString(cursor, this.#text)
      } else if (cursor.isNamed('partial_json') && this.#call) {
        this.#call.args(cursor)
      } else {
        skip(cursor)
      }
    }
  }
}

/** `/responses`: items, each told as a whole when it is done. */
export class OutputText implements ReplyText {
  /** All but the items only repeat. */
  readonly mayLose = true
  readonly #text: PromptText

  constructor(text: PromptText) {
    this.#text = text
  }

  event(cursor: JsonCursor): boolean {
    let itemAt = -1
    let isDone = false
    cursor.enter()
    while (cursor.nextMember()) {
      if (cursor.isNamed('type')) {
        isDone = cursor.isText('response.output_item.done')
        if (!isDone) return true
      } else if (cursor.isNamed('item')) {
        itemAt = cursor.at
      }
      skip(cursor)
    }
    if (isDone && itemAt >= 0) atOnce(itemSteps(new JsonCursor(cursor.bytes, itemAt, cursor.end), this.#text))
    return true
  }

  answer(cursor: JsonCursor): boolean {
    cursor.enter()
    while (cursor.nextMember()) {
      if (cursor.isNamed('output') && cursor.isArray) {
        cursor.enter()
        while (cursor.next()) atOnce(itemSteps(cursor, this.#text))
        return true
      }
      skip(cursor)
    }
    return false
  }

  end(): void {
    // Each item ends by itself.
  }
}
