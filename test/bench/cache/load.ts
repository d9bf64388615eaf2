import { setTimeout as sleep } from 'node:timers/promises'
import { ENGINE_DEFAULTS } from '../../kit/fakeEngine/index.ts'
import { Client } from './client.ts'
import type { Arrival, Conversation, Message, Turn } from './conversations.ts'

/** One request: when it was sent and what came of it, ms. */
export interface Sent {
  readonly at: number
  firstAt?: number
  endAt?: number
  hasFailed?: boolean
}

/** Holds conversations at an origin: each begins at its time whatever became of the others, and goes on after its answers. */
export class Load {
  readonly sent: Sent[] = []
  /** Some of the failures. */
  readonly failures: string[] = []
  readonly #client: Client
  /** Real ms of a simulated second. */
  readonly #secondMs: number
  readonly #leave = new AbortController()
  #under = 0
  #isOver = false

  constructor(origin: string, timeScale: number) {
    this.#secondMs = 1000 * timeScale
    this.#client = new Client(origin)
  }

  get underWay(): number {
    return this.#under
  }

  /** Resolves when the last one has begun. */
  async offer(arrivals: readonly Arrival[], startedAt: number): Promise<void> {
    for (const { at, conversation } of arrivals) {
      const due = startedAt + at * this.#secondMs
      const ahead = due - performance.now()
      if (ahead > 1) await sleep(ahead)
      void this.#hold(conversation, due)
    }
  }

  /** No conversation goes on. */
  over(): void {
    this.#isOver = true
  }

  /** Cuts off what is under way. */
  async end(): Promise<void> {
    this.over()
    this.#leave.abort()
    await this.#client.close()
  }

  async #hold({ shared: { tools, messages }, turns }: Conversation, dueAt: number): Promise<void> {
    const said: Message[] = [...messages]
    let at = dueAt
    for (const [i, turn] of turns.entries()) {
      if (i > 0) {
        await sleep(turn.thinkSeconds * this.#secondMs)
        at = performance.now()
      }
      if (this.#isOver) return
      said.push(...turn.says)
      const answer = await this.#ask(bodyOf(tools, said, turn), at)
      if (answer === undefined) return
      said.push({ role: 'assistant', content: answer })
    }
  }

  async #ask(body: string, at: number): Promise<string | undefined> {
    const sent: Sent = { at }
    this.sent.push(sent)
    this.#under++
    try {
      const { firstAt, endAt, text } = await this.#client.chat(body, this.#leave.signal)
      Object.assign(sent, { firstAt, endAt })
      return text
    } catch (error) {
      if (!this.#leave.signal.aborted) {
        sent.hasFailed = true
        if (this.failures.length < 5) this.failures.push(String(error))
      }
      return undefined
    } finally {
      this.#under--
    }
  }
}

function bodyOf(tools: readonly object[] | undefined, messages: readonly Message[], { outputTokens }: Turn): string {
  return JSON.stringify({
    ...{ model: ENGINE_DEFAULTS.model, messages, ...(tools && { tools }), max_tokens: outputTokens },
    ...{ stream: true, stream_options: { include_usage: true } },
  })
}
