import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Cleanup } from '../wait.ts'
import { readAsk, type Ask } from './ask.ts'
import { answerText, completion, endOfStream, firstEvent, metricsText, modelsList } from './answers.ts'
import { Batch, type BatchStats, type Job } from './batch.ts'
import { BLOCK_TOKENS, ENGINE_DEFAULTS, type Engine, type EngineOptions } from './options.ts'
import { PrefixCache } from './prefixCache.ts'

const JSON_TYPE = 'application/json'

/** Idle connections stay, as a benchmark's clients expect. */
const IDLE_MS = 600_000

/** A simulated inference engine in this process, over real sockets. Its timing is that of `Batch`; what it says means nothing. */
export class LocalEngine {
  readonly #engine: Engine
  readonly #cache: PrefixCache
  readonly #batch: Batch
  readonly #server = createServer({ keepAliveTimeout: IDLE_MS, requestTimeout: 0 })
  #timer: NodeJS.Timeout | undefined
  #timerAt = Infinity
  port = 0

  constructor(options: EngineOptions) {
    this.#engine = { ...ENGINE_DEFAULTS, ...options }
    this.#cache = new PrefixCache(Math.ceil(this.#engine.cacheTokens / BLOCK_TOKENS))
    this.#batch = new Batch(this.#engine, this.#cache)
    this.#server.on('request', (request, response) => void this.#serve(request, response))
  }

  get url(): string {
    return `http://${this.#engine.host}:${this.port}`
  }

  async start(): Promise<void> {
    this.#server.listen(this.#engine.port, this.#engine.host)
    await once(this.#server, 'listening')
    this.port = (this.#server.address() as AddressInfo).port
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#server.close()
    this.#server.closeAllConnections()
  }

  /** As after a restart: an empty cache, nothing counted. Requests under way are cut off. */
  reset(): void {
    this.#batch.clear()
    this.#cache.clear()
    this.#server.closeAllConnections()
  }

  get stats(): BatchStats {
    this.#batch.advance(this.#now())
    return { ...this.#batch.stats }
  }

  get running(): number {
    return this.#batch.running
  }

  get waiting(): number {
    return this.#batch.waiting
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url?.split('?')[0]
    if (request.method === 'POST' && path === '/v1/chat/completions') return this.#chat(request, response)
    request.resume()
    if (path === '/health') return void response.end()
    if (path === '/v1/models') return say(response, modelsList(this.#engine.model))
    if (path === '/get_model_info')
      return say(response, JSON.stringify({ model_path: this.#engine.model, is_generation: true }))
    if (path === '/metrics') {
      response.setHeader('content-type', 'text/plain; version=0.0.4; charset=utf-8')
      return void response.end(metricsText(this.#engine.model, this.#batch))
    }
    response.statusCode = 404
    say(response, '{"detail":"Not Found"}')
  }

  async #chat(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // Responses that the client no longer awaits emit errors on some paths; 'close' below says all.
    request.on('error', () => {})
    response.on('error', () => {})
    const chunks: Buffer[] = []
    for await (const chunk of request.iterator({ destroyOnReturn: false })) chunks.push(chunk as Buffer)
    const ask = readAsk(Buffer.concat(chunks))
    if (ask === undefined) {
      response.statusCode = 400
      return say(response, '{"object":"error","message":"not a chat","type":"BadRequestError","code":400}')
    }
    this.#run(ask, response)
  }

  #run(ask: Ask, response: ServerResponse): void {
    const { prompt, outputTokens, isStreamed } = ask
    const answer = answerText(prompt, outputTokens)
    // Counted now: the answer is added to the chain when it ends.
    const usageOf = { promptTokens: prompt.tokens, outputTokens }
    const job: Job = {
      ...{ prompt, outputTokens, answer, cachedTokens: 0 },
      onFirstToken: () => {
        if (isStreamed) response.write(firstEvent(this.#engine.model, answer))
      },
      onEnd: () => {
        const usage = { ...usageOf, cachedTokens: job.cachedTokens }
        if (isStreamed) response.end(endOfStream(this.#engine.model, answer, ask.includesUsage ? usage : undefined))
        else say(response, completion(this.#engine.model, answer, usage))
      },
    }
    if (isStreamed) {
      response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
      response.flushHeaders()
    }
    // Also comes after a complete answer, when there is nothing left to abort.
    response.on('close', () => {
      if (response.writableFinished) return
      this.#batch.abort(job, this.#now())
      this.#wakeWhenDue()
    })
    if (response.destroyed || response.socket?.destroyed) return
    this.#batch.submit(job, this.#now())
    this.#wakeWhenDue()
  }

  /** Simulated ms. */
  #now(): number {
    return performance.now() / this.#engine.timeScale
  }

  /** One timer for all that runs here. */
  #wakeWhenDue(): void {
    const due = this.#batch.dueAt
    if (due === undefined || due >= this.#timerAt) return
    clearTimeout(this.#timer)
    this.#timerAt = due
    const ms = Math.max(0, Math.ceil(due * this.#engine.timeScale - performance.now()))
    this.#timer = setTimeout(() => {
      this.#timerAt = Infinity
      this.#batch.advance(this.#now())
      this.#wakeWhenDue()
    }, ms)
  }
}

function say(response: ServerResponse, body: string): void {
  response.setHeader('content-type', JSON_TYPE)
  response.setHeader('content-length', Buffer.byteLength(body))
  response.end(body)
}

/** Starts an engine that ends with the test. */
export async function startEngine(options: EngineOptions, t: Cleanup): Promise<LocalEngine> {
  const engine = new LocalEngine(options)
  await engine.start()
  t.after(() => engine.stop())
  return engine
}
