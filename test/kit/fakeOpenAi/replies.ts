/** Unary answers, shaped as OpenAI's (and, for `messages`, Anthropic's). */
import { createHash, randomUUID } from 'node:crypto'
import { contentPieces } from './ask.ts'
import type { Ask } from './ask.ts'

export interface Reply {
  status: number
  contentType: string
  body: Buffer
}

function reply(value: unknown, status = 200): Reply {
  return { status, contentType: 'application/json', body: Buffer.from(JSON.stringify(value)) }
}

export function failure(status: number, message: string, code: string | null = null): Reply {
  return reply({ error: { message, type: 'invalid_request_error', param: null, code } }, status)
}

export function modelList(models: readonly string[]): Reply {
  const data = models.map((id) => ({ id, object: 'model', created: 1_700_000_000, owned_by: 'simulated' }))
  return reply({ object: 'list', data })
}

interface Usage {
  prompt_tokens: number
  completion_tokens: number
  total_tokens: number
  prompt_tokens_details?: { cached_tokens: number }
}

/** Tokens as this service counts them: pieces of text. */
export function usage(ask: Ask): Usage {
  const completion = contentPieces(ask).length
  const counts = { prompt_tokens: 7, completion_tokens: completion, total_tokens: 7 + completion }
  const { cached } = ask.script
  return cached === undefined ? counts : { ...counts, prompt_tokens_details: { cached_tokens: cached } }
}

export function newId(prefix: string): string {
  return `${prefix}-${randomUUID()}`
}

export function unaryReply(ask: Ask): Reply {
  const { model, members } = ask
  const created = Math.floor(Date.now() / 1000)
  const content = contentPieces(ask).join('')
  switch (ask.endpoint) {
    case 'chat': {
      const choice = { index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }
      return reply({
        id: newId('chatcmpl'),
        object: 'chat.completion',
        created,
        model,
        choices: [choice],
        usage: usage(ask),
      })
    }
    case 'completions': {
      const choice = { index: 0, text: content, finish_reason: 'stop', logprobs: null }
      return reply({
        id: newId('cmpl'),
        object: 'text_completion',
        created,
        model,
        choices: [choice],
        usage: usage(ask),
      })
    }
    case 'responses':
      return reply(responseObject(ask, newId('resp'), content))
    case 'messages':
      return reply({
        ...messageStart(ask),
        content: [{ type: 'text', text: content }],
        stop_reason: 'end_turn',
        usage: { input_tokens: 7, output_tokens: usage(ask).completion_tokens },
      })
    case 'embeddings':
      return reply(embeddings(ask))
    case 'rerank':
      return reply({ id: newId('rerank'), model, results: ranking(members.documents) })
    case 'score':
      return reply({ id: newId('score'), object: 'list', model, data: [{ index: 0, object: 'score', score: 0.5 }] })
    case 'tokenize':
      return reply({ count: 3, max_model_len: 4096, tokens: [1, 2, 3] })
    case 'countTokens':
      return reply({ input_tokens: 7 })
    case 'moderations': {
      const result = { flagged: false, categories: { violence: false }, category_scores: { violence: 0.01 } }
      return reply({ id: newId('modr'), model, results: [result] })
    }
    case 'audio':
      return audioReply(ask)
    case 'images':
      return reply({ created, data: [{ b64_json: Buffer.from('a picture').toString('base64') }] })
    case 'models':
    case 'metrics':
      return failure(405, 'Method Not Allowed')
  }
}

export function responseObject(ask: Ask, id: string, text: string): object {
  const part = { type: 'output_text', text, annotations: [] }
  const message = { type: 'message', id: 'msg_1', status: 'completed', role: 'assistant', content: [part] }
  const { prompt_tokens, completion_tokens, total_tokens, prompt_tokens_details: details } = usage(ask)
  return {
    id,
    object: 'response',
    created_at: Math.floor(Date.now() / 1000),
    status: 'completed',
    model: ask.model,
    output: [message],
    usage: {
      input_tokens: prompt_tokens,
      ...(details && { input_tokens_details: details }),
      output_tokens: completion_tokens,
      total_tokens,
    },
  }
}

export function messageStart({ model }: Ask): object {
  return {
    id: newId('msg'),
    type: 'message',
    role: 'assistant',
    model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
  }
}

function embeddings(ask: Ask): object {
  const { input, encoding_format } = ask.members
  const inputs: unknown[] = Array.isArray(input) ? input : [input]
  const data = inputs.map((text, index) => {
    const vector = vectorOf(JSON.stringify(text ?? null))
    const embedding = encoding_format === 'base64' ? Buffer.from(vector.buffer).toString('base64') : [...vector]
    return { object: 'embedding', index, embedding }
  })
  return {
    object: 'list',
    data,
    model: ask.model,
    usage: { prompt_tokens: inputs.length, total_tokens: inputs.length },
  }
}

/** Eight numbers that depend on the text alone. */
function vectorOf(text: string): Float32Array {
  const digest = createHash('sha256').update(text).digest()
  return Float32Array.from({ length: 8 }, (_, i) => digest[i]! / 256)
}

function ranking(documents: unknown): object[] {
  const count = Array.isArray(documents) ? documents.length : 0
  return Array.from({ length: count }, (_, index) => ({ index, relevance_score: 1 / (index + 1) }))
}

/** Speech is bytes that no text decoder survives; a transcription tells how many bytes it heard. */
function audioReply({ path, members, bodyLength }: Ask): Reply {
  if (path !== '/audio/speech') return reply({ text: `heard ${Number(members.file ?? bodyLength)} bytes` })
  const body = Buffer.from(Uint8Array.from({ length: 4096 }, (_, i) => (i * 7) & 255))
  return { status: 200, contentType: 'audio/mpeg', body }
}
