import { BlockChain } from './blockChain.ts'

/** What a chat asks for. */
export interface Ask {
  /** All that the cache is keyed by, up to where the answer begins. */
  readonly prompt: BlockChain
  readonly outputTokens: number
  readonly isStreamed: boolean
  readonly includesUsage: boolean
}

interface Chat {
  readonly messages?: readonly { readonly role?: unknown; readonly content?: unknown; readonly tool_calls?: unknown }[]
  readonly tools?: unknown
  readonly max_tokens?: number
  readonly max_completion_tokens?: number
  readonly stream?: boolean
  readonly stream_options?: { readonly include_usage?: boolean }
}

const DEFAULT_OUTPUT_TOKENS = 100

/** Reads the body of a chat; `undefined` where it is none. */
export function readAsk(body: Buffer): Ask | undefined {
  let chat: Chat
  try {
    chat = JSON.parse(body.toString()) as Chat
  } catch {
    return undefined
  }
  if (!Array.isArray(chat?.messages)) return undefined
  const prompt = new BlockChain()
  if (chat.tools !== undefined) prompt.add(JSON.stringify(chat.tools))
  for (const { role, content, tool_calls } of chat.messages as NonNullable<Chat['messages']>) {
    prompt.add(`\n<${String(role)}>\n`)
    prompt.add(typeof content === 'string' ? content : JSON.stringify(content ?? ''))
    if (tool_calls !== undefined) prompt.add(JSON.stringify(tool_calls))
  }
  prompt.add('\n<assistant>\n')
  return {
    prompt,
    outputTokens: Math.max(1, chat.max_tokens ?? chat.max_completion_tokens ?? DEFAULT_OUTPUT_TOKENS),
    isStreamed: chat.stream === true,
    includesUsage: chat.stream_options?.include_usage === true,
  }
}
