import type { Steps } from '../../base/index.ts'
import type { Prompt } from '../../dispatch/index.ts'
import { JsonCursor, JsonSyntaxError, memberOf, type JsonMember } from '../../json/index.ts'
import type { Dialect } from '../dialect.ts'
import { contentSteps, itemSteps } from './items.ts'
import { PromptText } from './promptText.ts'
import { numberOfSession } from './session.ts'

/** What a request to a path that generates from text has besides its model. */
export interface PromptSource {
  /** That of the request's path. */
  readonly dialect: Dialect
  readonly bytes: Buffer
  readonly members: readonly JsonMember[]
  /**
   * The model as the client names it: how the service that gets the request calls it is not known before one is chosen. Two names
   * of one model have no text in common.
   */
  readonly model: string
  /** The session that the client names. */
  readonly session: string | undefined
}

/** Members that hold the prompt, in the order in which engines put them together. */
const PLACES: Readonly<Record<Dialect, readonly string[]>> = {
  chat: ['messages'],
  completions: ['prompt'],
  responses: ['instructions', 'input'],
  messages: ['system', 'messages'],
}

/**
 * Reads the prompt of a request, whose body has been scanned. Never fails: what is odd is left out or counts as the bytes it is.
 */
export function* promptSteps({ dialect, bytes, members, model, session }: PromptSource): Steps<Prompt> {
  const text = new PromptText()
  text.chain.add(model)
  const salt = memberOf(members, 'cache_salt')
  if (salt) {
    text.beginSalt()
    text.value(bytes, salt.start, salt.end)
  }
  const tools = memberOf(members, 'tools')
  if (tools) {
    text.beginTools()
    yield* bytesSteps(bytes, tools.start, tools.end, text)
  }
  for (const name of PLACES[dialect]) {
    const member = memberOf(members, name)
    if (!member) continue
    const cursor = new JsonCursor(bytes, member.start, member.end)
    try {
      yield* placeSteps(name, cursor, text)
    } catch (error) {
      // Bytes that were scanned give no such error.
      if (!(error instanceof JsonSyntaxError)) throw error
    }
  }
  const isStreamed = bytes[memberOf(members, 'stream')?.start ?? -1] === LETTER_T
  return {
    chain: text.chain,
    historyCharacters: text.historyCharacters,
    conversation: session === undefined ? (text.firstTurn ?? text.chain.state) : numberOfSession(session),
    isNamedSession: session !== undefined,
    isStreamed,
  }
}

const LETTER_T = 0x74

function* placeSteps(name: string, cursor: JsonCursor, text: PromptText): Steps<void> {
  if (name === 'prompt') {
    yield* promptTextSteps(cursor, text)
  } else if (name === 'system' || name === 'instructions') {
    text.beginMessage('system')
    yield* contentSteps(cursor, text)
  } else if (cursor.isArray) {
    cursor.enter()
    while (!text.isFull && cursor.next()) {
      const steps = itemSteps(cursor, text)
      if (steps) yield* steps
      if (cursor.isPauseDue()) yield
    }
  } else {
    text.beginMessage('user')
    yield* contentSteps(cursor, text)
    text.messageEnded(true, false)
  }
}

/** A text, several, or tokens, which count as they are written. */
function* promptTextSteps(cursor: JsonCursor, text: PromptText): Steps<void> {
  const { bytes, at: start } = cursor
  if (cursor.isArray) {
    cursor.enter()
    let isTexts = false
    while (!text.isFull && cursor.next() && cursor.isString) {
      isTexts = true
      text.valueBegins()
      text.beginPrompt()
      while (!text.readString(cursor)) yield
      if (cursor.isPauseDue()) yield
    }
    if (isTexts) return
  }
  text.beginPrompt()
  if (cursor.isString) while (!text.readString(cursor)) yield
  else yield* bytesSteps(bytes, start, cursor.end, text)
}

function* bytesSteps(bytes: Buffer, start: number, end: number, text: PromptText): Steps<void> {
  for (let at = start; at < end;) {
    at = text.addBytes(bytes, at, end)
    if (at < end) yield
  }
}
