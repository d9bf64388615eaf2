import { Pool } from 'undici'
import { MODEL } from './engine.ts'

/** How a request ended: answered, left by its client, refused with a status, or broken off. */
type End = 'answered' | 'left' | 'refused' | 'broken'

/** One request and what became of it; times in ms since this process began. */
export interface Sent {
  readonly caller: number
  readonly at: number
  readonly endAt: number
  readonly end: End
  readonly tokens: number
  /** Service at its engine, ms; 0 where it was not answered. */
  readonly serviceMs: number
  /** 0 where there was no answer. */
  readonly status: number
  /** Seconds, where the answer had `Retry-After`. */
  readonly retryAfter: number | undefined
  /** Of a refusal or break. */
  readonly why: string
}

/** A request to send. */
export interface Ask {
  readonly caller: number
  readonly tokens: number
  /** When it was due, where that is not now: its wait counts from then. */
  readonly dueAt?: number
  /** The client leaves after that long. */
  readonly patienceMs?: number
}

/** Name and key of a caller, and what KEYS_FILE says of it. */
export interface Caller {
  readonly weight?: number
  readonly priority?: 'high' | 'normal' | 'low'
}

export const keyOf = (caller: number): string => `key-of-caller-${caller}`

/** Sends chats to one origin, each over a connection that it has for itself, and keeps what became of them. */
export class Client {
  readonly sent: Sent[] = []
  readonly #pool: Pool
  readonly #over = new AbortController()
  #count = 0
  #open = 0

  constructor(origin: string) {
    this.#pool = new Pool(origin, { pipelining: 1, connections: null, headersTimeout: 0, bodyTimeout: 0 })
  }

  /** Requests under way. */
  get open(): number {
    return this.#open
  }

  get isOver(): boolean {
    return this.#over.signal.aborted
  }

  /** Never rejects. */
  async ask({ caller, tokens, dueAt, patienceMs }: Ask): Promise<Sent> {
    const at = dueAt ?? performance.now()
    const leave = new AbortController()
    const onOver = (): void => leave.abort()
    this.#over.signal.addEventListener('abort', onOver)
    const patience = patienceMs === undefined ? undefined : setTimeout(() => leave.abort(), patienceMs)
    const nothing = { serviceMs: 0, status: 0, retryAfter: undefined, why: '' }
    this.#open++
    let result: Omit<Sent, 'caller' | 'at' | 'tokens' | 'endAt'>
    try {
      result = await this.#chat(caller, tokens, leave.signal)
    } catch (error) {
      result = leave.signal.aborted
        ? { ...nothing, end: 'left' }
        : { ...nothing, end: 'broken', why: String((error as Error).message) }
    } finally {
      this.#open--
      clearTimeout(patience)
      this.#over.signal.removeEventListener('abort', onOver)
    }
    const sent = { caller, at, tokens, endAt: performance.now(), ...result }
    // What the end of the run cut off says nothing.
    if (!this.isOver) this.sent.push(sent)
    return sent
  }

  /** Cuts off what is under way. */
  async close(): Promise<void> {
    this.#over.abort()
    await this.#pool.destroy()
  }

  async #chat(
    caller: number,
    tokens: number,
    signal: AbortSignal,
  ): Promise<Omit<Sent, 'caller' | 'at' | 'tokens' | 'endAt'>> {
    const content = `Question ${++this.#count} of caller ${caller}`
    const { statusCode, headers, body } = await this.#pool.request({
      ...{ method: 'POST', path: '/v1/chat/completions', signal },
      headers: { 'content-type': 'application/json', authorization: `Bearer ${keyOf(caller)}` },
      body: JSON.stringify({ model: MODEL, messages: [{ role: 'user', content }], max_tokens: tokens }),
    })
    const text = await body.text()
    const retryAfter = headers['retry-after'] === undefined ? undefined : Number(headers['retry-after'])
    const serviceMs = Number(/"system_fingerprint":"\S+ ([\d.]+)"/.exec(text)?.[1] ?? NaN)
    if (statusCode === 200 && serviceMs >= 0) {
      return { end: 'answered', serviceMs, status: 200, retryAfter, why: '' }
    }
    return { end: 'refused', serviceMs: 0, status: statusCode, retryAfter, why: `${statusCode} ${text.slice(0, 160)}` }
  }
}
