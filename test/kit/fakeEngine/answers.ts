import type { BlockChain } from './blockChain.ts'
import { TOKEN_CHARACTERS } from './options.ts'

export interface Usage {
  readonly promptTokens: number
  readonly cachedTokens: number
  readonly outputTokens: number
}

/** Words of four letters each, in an order that depends on where one begins. */
const WORDS = wordsOf(4096)

/** So many tokens, always the same ones to the same prompt, and others to another. */
export function answerText(prompt: BlockChain, tokens: number): string {
  const key = (prompt.blocks.at(-1) ?? 0) + prompt.tokens
  const characters = tokens * TOKEN_CHARACTERS
  const from = key % (WORDS.length - 1)
  let text = `${key.toString(36)} ${WORDS.slice(from)}`
  while (text.length < characters) text += WORDS
  return text.slice(0, characters)
}

/** The first event of a streamed answer: its first token. */
export function firstEvent(model: string, answer: string): string {
  return chunk(model, { role: 'assistant', content: answer.slice(0, TOKEN_CHARACTERS) }, null)
}

/** The other tokens in one event, how it ended, and what was used, where it was asked for. */
export function endOfStream(model: string, answer: string, usage: Usage | undefined): string {
  const rest = answer.slice(TOKEN_CHARACTERS)
  const said = rest === '' ? '' : chunk(model, { content: rest }, null)
  const used = usage
    ? `data: ${JSON.stringify({ ...head(model, true), choices: [], usage: usageMembers(usage) })}\n\n`
    : ''
  return `${said}${chunk(model, {}, 'length')}${used}data: [DONE]\n\n`
}

/** The whole answer. */
export function completion(model: string, answer: string, usage: Usage): string {
  const message = { role: 'assistant', content: answer }
  const choices = [{ index: 0, message, logprobs: null, finish_reason: 'length' }]
  return JSON.stringify({ ...head(model, false), choices, usage: usageMembers(usage) })
}

export function modelsList(model: string): string {
  const entry = {
    id: model,
    object: 'model',
    created: 1_700_000_000,
    owned_by: 'vllm',
    root: model,
    max_model_len: 131_072,
  }
  return JSON.stringify({ object: 'list', data: [entry] })
}

/** As vLLM prints it, as far as load goes. */
export function metricsText(model: string, { running, waiting }: { running: number; waiting: number }): string {
  const gauge = (name: string, help: string, value: number): string =>
    `# HELP vllm:${name} ${help}\n# TYPE vllm:${name} gauge\nvllm:${name}{engine="0",model_name="${model}"} ${value.toFixed(1)}\n`
  return (
    gauge('num_requests_running', 'Number of requests in model execution batches.', running) +
    gauge('num_requests_waiting', 'Number of requests waiting to be processed.', waiting)
  )
}

let answers = 0

function head(model: string, isChunk: boolean): object {
  const object = isChunk ? 'chat.completion.chunk' : 'chat.completion'
  return { id: `chatcmpl-${++answers}`, object, created: 1_700_000_000, model }
}

function chunk(model: string, delta: object, finish: string | null): string {
  return `data: ${JSON.stringify({ ...head(model, true), choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }] })}\n\n`
}

function usageMembers({ promptTokens, cachedTokens, outputTokens }: Usage): object {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: outputTokens,
    total_tokens: promptTokens + outputTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
  }
}

function wordsOf(count: number): string {
  let state = 1
  let text = ''
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    text += `${(state >>> 12).toString(36).padStart(4, 'e').slice(-3)} `
  }
  return text
}
