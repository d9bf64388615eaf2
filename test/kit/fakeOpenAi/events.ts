/** Streamed answers as server-sent events: what comes before the content, with each piece of it, and after. */
import { contentPieces } from './ask.ts'
import type { Ask } from './ask.ts'
import { messageStart, newId, responseObject, usage } from './replies.ts'

export interface EventPlan {
  before: string[]
  content: string[]
  after: string[]
}

export function isStreamable({ endpoint }: Ask): boolean {
  return endpoint in PLANS
}

export function eventPlan(ask: Ask): EventPlan {
  return PLANS[ask.endpoint]!(ask)
}

/** What a service says when it fails amid a stream. */
export function errorEvent(): string {
  return data({ error: { message: 'the engine failed', type: 'server_error', param: null, code: 500 } })
}

const PLANS: Partial<Record<Ask['endpoint'], (ask: Ask) => EventPlan>> = {
  chat: (ask) => {
    const head = { id: newId('chatcmpl'), object: 'chat.completion.chunk', created: seconds(), model: ask.model }
    const chunk = (delta: object, finish_reason: string | null = null): string =>
      data({ ...head, choices: [{ index: 0, delta, finish_reason }] })
    return {
      before: [chunk({ role: 'assistant', content: '' })],
      content: contentPieces(ask).map((content) => chunk({ content })),
      after: [chunk({}, 'stop'), ...usageEvent(ask, head), DONE],
    }
  },
  completions: (ask) => {
    const head = { id: newId('cmpl'), object: 'text_completion', created: seconds(), model: ask.model }
    const chunk = (text: string, finish_reason: string | null): string =>
      data({ ...head, choices: [{ index: 0, text, finish_reason, logprobs: null }] })
    return {
      before: [],
      content: contentPieces(ask).map((text) => chunk(text, null)),
      after: [chunk('', 'stop'), ...usageEvent(ask, head), DONE],
    }
  },
  responses: (ask) => {
    const id = newId('resp')
    const pieces = contentPieces(ask)
    const place = { item_id: 'msg_1', output_index: 0, content_index: 0 }
    const open = { ...responseObject(ask, id, ''), status: 'in_progress', output: [] }
    let number = 0
    const event = (type: string, more: object): string => named(type, { sequence_number: number++, ...more })
    return {
      before: [event('response.created', { response: open }), event('response.in_progress', { response: open })],
      content: pieces.map((delta) => event('response.output_text.delta', { ...place, delta })),
      after: [
        event('response.output_text.done', { ...place, text: pieces.join('') }),
        event('response.completed', { response: responseObject(ask, id, pieces.join('')) }),
      ],
    }
  },
  messages: (ask) => {
    const { completion_tokens } = usage(ask)
    const message = { ...messageStart(ask), usage: { input_tokens: 7, output_tokens: 0 } }
    const delta = (text: string): string =>
      named('content_block_delta', { index: 0, delta: { type: 'text_delta', text } })
    return {
      before: [
        named('message_start', { message }),
        named('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
        named('ping', {}),
      ],
      content: contentPieces(ask).map(delta),
      after: [
        named('content_block_stop', { index: 0 }),
        named('message_delta', { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: completion_tokens } }),
        named('message_stop', {}),
      ],
    }
  },
}

const DONE = 'data: [DONE]\n\n'

/** Only on request, and with no choices. */
function usageEvent(ask: Ask, head: object): string[] {
  const { stream_options } = ask.members as { stream_options?: { include_usage?: boolean } }
  return stream_options?.include_usage ? [data({ ...head, choices: [], usage: usage(ask) })] : []
}

function data(value: object): string {
  return `data: ${JSON.stringify(value)}\n\n`
}

function named(type: string, more: object): string {
  return `event: ${type}\n${data({ type, ...more })}`
}

function seconds(): number {
  return Math.floor(Date.now() / 1000)
}
