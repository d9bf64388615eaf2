import { Pool } from 'undici'

/** How an answer went; times in ms since the process began. */
export interface Answered {
  readonly firstAt: number
  readonly endAt: number
  readonly text: string
}

const CONTENT = '"content":"'

/** Streams chats over keep-alive connections, and reads of the answer no more than it must. */
export class Client {
  readonly #pool: Pool

  constructor(origin: string) {
    this.#pool = new Pool(origin, { pipelining: 1, connections: null, headersTimeout: 0, bodyTimeout: 0 })
  }

  /** Rejects where the answer is not a complete stream. */
  async chat(body: string, signal: AbortSignal): Promise<Answered> {
    const { statusCode, body: stream } = await this.#pool.request({
      ...{ method: 'POST', path: '/v1/chat/completions', body, signal },
      headers: { 'content-type': 'application/json' },
    })
    let text = ''
    let firstAt: number | undefined
    for await (const piece of stream as AsyncIterable<Buffer>) {
      text += piece.toString('latin1')
      if (firstAt === undefined && text.includes(CONTENT)) firstAt = performance.now()
    }
    if (statusCode !== 200 || firstAt === undefined || !text.endsWith('data: [DONE]\n\n')) {
      throw new Error(`${statusCode} ${text.slice(0, 200)}`)
    }
    return { firstAt, endAt: performance.now(), text: contentOf(text) }
  }

  /** Cuts off what is still under way. */
  async close(): Promise<void> {
    await this.#pool.destroy()
  }
}

interface Chunk {
  readonly choices: readonly { readonly delta: { readonly content?: string } }[]
}

function contentOf(events: string): string {
  let text = ''
  for (const line of events.split('\n')) {
    if (!line.includes(CONTENT)) continue
    text += (JSON.parse(line.slice('data: '.length)) as Chunk).choices[0]?.delta.content ?? ''
  }
  return text
}
