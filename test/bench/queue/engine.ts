import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'

/** A simulated engine whose service times are exact: a token takes one millisecond over the speed, however many requests run. */
export interface EngineOptions {
  readonly name: string
  readonly port: number
  /** Requests that run at once; the others wait here, first in, first out. */
  readonly slots: number
  readonly speed: number
  /** Whether `/metrics` shows how many run and wait, as vLLM's does. */
  readonly showsMetrics: boolean
}

/** What an engine did since its start. */
export interface EngineStats {
  readonly ended: number
  /** Requests whose clients left, waiting or running. */
  readonly aborted: number
  readonly running: number
  readonly waiting: number
  readonly mostWaiting: number
}

export const MODEL = 'org/model'
const JSON_TYPE = 'application/json'
/** Idle connections stay. */
const IDLE_MS = 600_000

interface Job {
  readonly tokens: number
  readonly response: ServerResponse
  timer: NodeJS.Timeout | undefined
}

/** Serves chat completions in one piece; each answer says which engine gave it and how long its service took. */
export class Engine {
  readonly #options: EngineOptions
  readonly #server = createServer({ keepAliveTimeout: IDLE_MS, requestTimeout: 0 })
  readonly #running = new Set<Job>()
  /** A set, because clients leave from the middle of it. */
  readonly #waiting = new Set<Job>()
  #ended = 0
  #aborted = 0
  #mostWaiting = 0

  constructor(options: EngineOptions) {
    this.#options = options
    this.#server.on('request', (request, response) => void this.#serve(request, response))
  }

  async start(): Promise<void> {
    this.#server.listen(this.#options.port, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  get stats(): EngineStats {
    return {
      ...{ ended: this.#ended, aborted: this.#aborted, mostWaiting: this.#mostWaiting },
      ...{ running: this.#running.size, waiting: this.#waiting.size },
    }
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url?.split('?')[0]
    if (request.method === 'POST' && path === '/v1/chat/completions') return this.#chat(request, response)
    request.resume()
    if (path === '/health') return void response.end()
    if (path === '/v1/models') {
      return say(response, { object: 'list', data: [{ id: MODEL, object: 'model', created: 0, owned_by: 'vllm' }] })
    }
    if (path === '/get_model_info') return say(response, { model_path: MODEL, is_generation: true })
    if (path === '/metrics' && this.#options.showsMetrics) {
      response.setHeader('content-type', 'text/plain; version=0.0.4; charset=utf-8')
      return void response.end(gauge('running', this.#running.size) + gauge('waiting', this.#waiting.size))
    }
    response.statusCode = 404
    say(response, { detail: 'Not Found' })
  }

  async #chat(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A client that leaves is seen by the response's 'close'.
    request.on('error', () => {})
    response.on('error', () => {})
    let text = ''
    try {
      for await (const chunk of request as AsyncIterable<Buffer>) text += chunk.toString('latin1')
    } catch {
      return
    }
    const tokens = Number(/"max_tokens":(\d+)/.exec(text)?.[1] ?? 100)
    const job: Job = { tokens, response, timer: undefined }
    response.on('close', () => this.#closed(job))
    if (response.destroyed || response.socket?.destroyed) return
    this.#waiting.add(job)
    this.#startNext()
    this.#mostWaiting = Math.max(this.#mostWaiting, this.#waiting.size)
  }

  #startNext(): void {
    if (this.#running.size >= this.#options.slots) return
    const [job] = this.#waiting
    if (!job) return
    this.#waiting.delete(job)
    this.#running.add(job)
    job.timer = setTimeout(() => this.#end(job), this.#serviceMs(job))
  }

  #end(job: Job): void {
    this.#running.delete(job)
    this.#ended++
    say(job.response, {
      ...{ id: `chatcmpl-${this.#options.name}-${this.#ended}`, object: 'chat.completion', created: 0, model: MODEL },
      system_fingerprint: `${this.#options.name} ${this.#serviceMs(job)}`,
      choices: [{ index: 0, message: { role: 'assistant', content: 'yes' }, finish_reason: 'stop' }],
      usage: { prompt_tokens: 4, completion_tokens: job.tokens, total_tokens: 4 + job.tokens },
    })
    this.#startNext()
  }

  /** Also comes after a complete answer, when nothing is left to stop. */
  #closed(job: Job): void {
    clearTimeout(job.timer)
    if (!this.#waiting.delete(job) && !this.#running.delete(job)) return
    this.#aborted++
    this.#startNext()
  }

  #serviceMs({ tokens }: Job): number {
    return tokens / this.#options.speed
  }
}

function say(response: ServerResponse, value: object): void {
  const body = JSON.stringify(value)
  response.setHeader('content-type', JSON_TYPE)
  response.setHeader('content-length', Buffer.byteLength(body))
  response.end(body)
}

function gauge(name: string, value: number): string {
  const full = `vllm:num_requests_${name}`
  return `# TYPE ${full} gauge\n${full}{engine="0",model_name="${MODEL}"} ${value.toFixed(1)}\n`
}
