import type { Steps } from '../../base/index.ts'
import { JsonCursor } from '../../json/index.ts'
import { ArgumentsText } from './argumentsText.ts'
import type { PromptText } from './promptText.ts'

/*
 * What prompts consist of, in all dialects: messages and their parts, tool calls and results. Each is recognised by the members
 * that it has, in any order. The same code reads what an answer said, so that the next turn, which repeats it, goes on exactly there.
 * What engines leave out of later prompts, thinking, is left out here.
 */

/** Some agents put it before their system prompt, with another value each time; engines leave it out. */
const BILLING = 'x-anthropic-billing-header'

/** Results of tools hold parts, and these might hold results: no sound client nests them deeper. */
const DEEPEST = 1

/** Roles of messages that are mostly a text. */
const ROLES = ['user', 'assistant', 'system'] as const

/** A message whose text has been begun. */
interface BegunMessage {
  readonly roleAt: number
  readonly role: (typeof ROLES)[number]
  /** Whether all of the text has been read. */
  readonly isRead: boolean
}

/**
 * A message, a tool call or a tool's result: an element of `messages`, or of the `input` or `output` of a response. Most are a role
 * and a short text, and read at once; of others the steps that are left are returned.
 */
export function itemSteps(cursor: JsonCursor, text: PromptText): Steps<void> | undefined {
  if (!cursor.isObject) return contentSteps(cursor, text)
  text.valueBegins()
  cursor.enter()
  const first = cursor.at
  const role = cursor.nextMember() && cursor.isNamed('role') ? ROLES.find((one) => cursor.isText(one)) : undefined
  const roleAt = cursor.at
  if (role !== undefined) cursor.at += role.length + 2
  if (role === undefined || !cursor.nextMember() || !cursor.isNamed('content') || !cursor.isString) {
    cursor.at = first
    return memberSteps(cursor, text)
  }
  text.beginMessageAt(cursor.bytes, roleAt)
  if (!text.readString(cursor)) return memberSteps(cursor, text, { roleAt, role, isRead: false })
  const behind = cursor.at
  if (cursor.nextMember()) {
    cursor.at = behind
    return memberSteps(cursor, text, { roleAt, role, isRead: true })
  }
  text.messageEnded(role === 'user', role === 'assistant')
  return undefined
}

/** The members of an item, or those behind the text of one that has been begun. */
function* memberSteps(cursor: JsonCursor, text: PromptText, begun?: BegunMessage): Steps<void> {
  const { bytes, end } = cursor
  let roleAt = begun ? begun.roleAt : -1
  let contentAt = -1
  let callsAt = -1
  let functionAt = -1
  let outputAt = -1
  let isUser = begun?.role === 'user'
  let isAssistant = begun?.role === 'assistant'
  let isBegun = begun !== undefined
  const call = new CallPlaces()
  if (begun?.isRead === false) while (!text.readString(cursor)) yield
  while (cursor.nextMember()) {
    if (cursor.isNamed('role')) {
      if (cursor.isString) roleAt = cursor.at
      isUser = cursor.isText('user')
      isAssistant = cursor.isText('assistant')
    } else if (cursor.isNamed('content')) {
      if (roleAt >= 0 && !isBegun) {
        isBegun = true
        text.beginMessageAt(bytes, roleAt)
        if (!cursor.isString) yield* contentSteps(cursor, text)
        else while (!text.readString(cursor)) yield
        continue
      }
      contentAt = cursor.at
    } else if (cursor.isNamed('tool_calls')) {
      if (isBegun && cursor.isArray) {
        yield* callsSteps(cursor, text)
        // However many lists of calls a message has.
        if (cursor.isPauseDue()) yield
        continue
      }
      if (cursor.isArray) callsAt = cursor.at
    } else if (cursor.isNamed('function_call')) {
      if (cursor.isObject) functionAt = cursor.at
    } else if (cursor.isNamed('output')) {
      outputAt = cursor.at
    } else if (call.see(cursor)) {
      yield* call.restSteps(cursor, text)
      continue
    }
    while (!cursor.skip()) yield
  }
  if (roleAt >= 0) {
    if (!isBegun) {
      text.beginMessageAt(bytes, roleAt)
      if (contentAt >= 0) yield* contentSteps(new JsonCursor(bytes, contentAt, end), text)
    }
    if (callsAt >= 0) yield* callsSteps(new JsonCursor(bytes, callsAt, end), text)
    if (functionAt >= 0) yield* callSteps(new JsonCursor(bytes, functionAt, end), text)
    text.messageEnded(isUser, isAssistant)
  } else if (call.isCall) {
    yield* call.textSteps(bytes, end, text)
    text.messageEnded(false, true)
  } else if (outputAt >= 0) {
    text.beginResult()
    yield* contentSteps(new JsonCursor(bytes, outputAt, end), text, DEEPEST)
  }
}

/** What a message says: a text, or parts. */
export function* contentSteps(cursor: JsonCursor, text: PromptText, depth = 0): Steps<void> {
  if (cursor.isString) {
    while (!text.readString(cursor)) yield
  } else if (cursor.isArray) {
    cursor.enter()
    while (cursor.next()) {
      if (cursor.isObject) yield* partSteps(cursor, text, depth)
      else if (cursor.isString) while (!text.readString(cursor)) yield
      else while (!cursor.skip()) yield
      if (text.isFull) return cursor.leave()
      if (cursor.isPauseDue()) yield
    }
  } else if (cursor.isObject) {
    yield* partSteps(cursor, text, depth)
  } else {
    while (!cursor.skip()) yield
  }
}

/** A part of a message: a text, a tool call, a tool's result, an image. Also a block of an answer in Anthropic's dialect. */
export function* partSteps(cursor: JsonCursor, text: PromptText, depth = 0): Steps<void> {
  text.valueBegins()
  const { bytes, end, at: start } = cursor
  let contentAt = -1
  let isThought = false
  let isResult = false
  let isText = false
  const call = new CallPlaces()
  cursor.enter()
  while (cursor.nextMember()) {
    if (cursor.isNamed('text') && cursor.isString && !isText) {
      isText = true
      if (!cursor.beginsWith(BILLING)) {
        while (!text.readString(cursor)) yield
        continue
      }
    } else if (cursor.isNamed('type')) {
      isResult = cursor.isText('tool_result')
      isThought = cursor.isText('thinking') || cursor.isText('redacted_thinking') || cursor.isText('reasoning')
    } else if (cursor.isNamed('content')) {
      contentAt = cursor.at
    } else if (call.see(cursor)) {
      yield* call.restSteps(cursor, text)
      continue
    }
    while (!cursor.skip()) yield
  }
  if (isText || isThought) return
  if (call.isCall) {
    yield* call.textSteps(bytes, end, text)
  } else if (isResult && depth < DEEPEST) {
    text.beginResult()
    if (contentAt >= 0) yield* contentSteps(new JsonCursor(bytes, contentAt, end), text, depth + 1)
  } else {
    yield* otherSteps(new JsonCursor(bytes, start, end), text)
  }
}

/** An image, a file, anything else: its members as they are written, long ones by a sample. Marks for caches move from turn to turn. */
function* otherSteps(cursor: JsonCursor, text: PromptText): Steps<void> {
  const { bytes } = cursor
  text.beginOther()
  cursor.enter()
  while (cursor.nextMember()) {
    const { at: start, nameStart, nameEnd } = cursor
    const isLeftOut = cursor.isNamed('cache_control')
    while (!cursor.skip()) yield
    if (isLeftOut) continue
    text.value(bytes, nameStart, nameEnd)
    text.value(bytes, start, cursor.at)
    text.valueBegins()
    if (text.isFull) return
  }
}

function* callsSteps(cursor: JsonCursor, text: PromptText): Steps<void> {
  cursor.enter()
  while (cursor.next()) {
    if (cursor.isObject) yield* callSteps(cursor, text)
    else while (!cursor.skip()) yield
    if (text.isFull) return cursor.leave()
    if (cursor.isPauseDue()) yield
  }
}

/** A tool call of a chat: `{"function":{"name","arguments"}}`, or what is in it. */
function* callSteps(cursor: JsonCursor, text: PromptText): Steps<void> {
  text.valueBegins()
  const { bytes, end } = cursor
  const call = new CallPlaces()
  cursor.enter()
  /** Whether the cursor is within `function`. */
  let isInner = false
  for (;;) {
    if (!cursor.nextMember()) {
      if (!isInner) break
      isInner = false
      if (cursor.isPauseDue()) yield
    } else if (!isInner && cursor.isObject && (cursor.isNamed('function') || cursor.isNamed('custom'))) {
      cursor.enter()
      isInner = true
    } else if (call.see(cursor)) {
      yield* call.restSteps(cursor, text)
    } else {
      while (!cursor.skip()) yield
    }
  }
  yield* call.textSteps(bytes, end, text)
}

/**
 * Where a tool call says what. Its id is no part of the text: it is new each time, and engines leave it out. Mostly the name comes
 * first: then what follows is read as it comes.
 */
class CallPlaces {
  #nameAt = -1
  #argumentsAt = -1
  #inputAt = -1
  #isRead = false

  /** Notes a member; true where the arguments are to be read now. */
  see(cursor: JsonCursor): boolean {
    if (cursor.isNamed('name')) {
      if (cursor.isString) this.#nameAt = cursor.at
      return false
    }
    if (cursor.isNamed('arguments')) this.#argumentsAt = cursor.at
    else if (cursor.isNamed('input')) this.#inputAt = cursor.at
    else return false
    return this.#nameAt >= 0 && !this.#isRead
  }

  get isCall(): boolean {
    return this.#nameAt >= 0 && (this.#argumentsAt >= 0 || this.#inputAt >= 0)
  }

  /** All of it, unless it has been read. */
  *textSteps(bytes: Buffer, end: number, text: PromptText): Steps<void> {
    if (this.#isRead) return
    const at = this.#argumentsAt >= 0 ? this.#argumentsAt : this.#inputAt
    if (at >= 0) return yield* this.restSteps(new JsonCursor(bytes, at, end), text)
    text.beginCall(bytes, this.#nameAt)
    new ArgumentsText(text.chain).end()
  }

  /** The name, and the arguments or the input at the cursor. */
  *restSteps(cursor: JsonCursor, text: PromptText): Steps<void> {
    const { bytes } = cursor
    this.#isRead = true
    text.beginCall(bytes, this.#nameAt)
    if (cursor.isString && this.#argumentsAt < 0) {
      // Free text, for a tool that takes no JSON.
      while (!text.readString(cursor)) yield
      return
    }
    const args = new ArgumentsText(text.chain)
    if (cursor.isString) {
      while (!text.readString(cursor, args)) yield
    } else {
      const start = cursor.at
      while (!cursor.skip()) yield
      const end = cursor.at
      for (let at = start; at < end && !text.isFull;) {
        at = args.addBytes(bytes, at, Math.min(end, at + ARGUMENT_STEP))
        if (at < end) yield
      }
    }
    args.end()
  }
}

/** Bytes of arguments that are read in one step. */
const ARGUMENT_STEP = 64 * 1024
