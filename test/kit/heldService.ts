/** An OpenAI-compatible service whose every answer waits until the test lets it go: for tests of who waits, and for what. */
import { endpointOf, readAsk } from './fakeOpenAi/ask.ts'
import type { Ask } from './fakeOpenAi/ask.ts'
import { eventPlan } from './fakeOpenAi/events.ts'
import { vllmText } from './fakeOpenAi/metrics.ts'
import { modelList, unaryReply } from './fakeOpenAi/replies.ts'
import type { Exchange } from './fakeServer/exchange.ts'
import { Listener } from './fakeServer/listener.ts'
import { within } from './wait.ts'
import type { Cleanup } from './wait.ts'

const WAIT_MS = 20_000
const PREFIX = '/v1'

/** A request that the service holds. Exactly one of `answer`, `fail` and `breakOff` ends it, unless its client leaves. */
export interface Held {
  /** Its `X-Request-Id`: the name that the test gave it. */
  readonly label: string
  readonly model: string
  /** Resolves when its client has left before the end of the answer. */
  readonly left: Promise<void>
  /** Sends the whole answer, or what of the stream is not sent yet; its usage counts `tokens` (default 10). */
  answer(tokens?: number): void
  /** Sends the head of a stream and its first event. */
  begin(): void
  /** Answers with an error instead. */
  fail(status: number, headers?: Record<string, string>): void
  /** Breaks the connection with a reset. */
  breakOff(): void
}

export interface HeldServiceOptions {
  models?: readonly string[]
  /** Requests that `/metrics` counts, as vLLM prints them; without it that path is 404. */
  load?: EngineLoad
}

interface EngineLoad {
  running: number
  waiting: number
}

export class HeldService {
  readonly host = '127.0.0.1'
  /** The names of all requests that came, in order. */
  readonly taken: string[] = []
  /** What `/metrics` tells from now on; `undefined`: that path is 404. */
  load: EngineLoad | undefined
  /** The most requests that it ever held at once. */
  mostRunning = 0
  /** Questions for `/metrics` that were answered. */
  looks = 0
  readonly #models: readonly string[]
  readonly #listener: Listener
  readonly #arrived: Held[] = []
  readonly #wanted: ((held: Held) => void)[] = []
  /** Those that are neither answered nor left. */
  readonly #open = new Set<Held>()
  #how: ((held: Held) => unknown) | undefined

  constructor({ models = ['small-model'], load }: HeldServiceOptions) {
    this.#models = models
    this.load = load
    this.#listener = new Listener(
      { host: this.host, idleTimeout: 0 },
      {
        exchange: (exchange) => exchange.readBody((body) => this.#take(exchange, body)),
        clientLeft: () => undefined,
        connection: () => undefined,
      },
    )
  }

  /** Requests that it holds: neither answered nor left. */
  get running(): number {
    return this.#open.size
  }

  get address(): string {
    return `${this.host}:${this.#listener.port}`
  }

  get url(): string {
    return `http://${this.address}`
  }

  /** Listens: at first on a free port, later on the same again. */
  async comeBack(): Promise<void> {
    await this.#listener.listen(0)
  }

  /** As the end of its process does: breaks all connections, and refuses new ones. */
  refuse(): void {
    this.#listener.refuse()
    this.#open.clear()
    this.#arrived.length = 0
  }

  /** The next request that the test has not taken yet. */
  next(withinMs = WAIT_MS): Promise<Held> {
    const held = this.#arrived.shift()
    if (held) return Promise.resolve(held)
    const coming = new Promise<Held>((resolve) => this.#wanted.push(resolve))
    return within(coming, withinMs, () => `a request at ${this.address}, which has had: ${this.taken.join(' ')}`)
  }

  /** Deals with all requests that no test has taken, and all that come, as they come. Default: answers them. */
  serve(how: (held: Held) => unknown = (held) => held.answer()): void {
    this.#how = how
    for (const held of this.#arrived.splice(0)) how(held)
  }

  /** Answers all requests that it holds, those too that a test has taken, and all that come. */
  letGo(): void {
    this.serve()
    for (const held of this.#open) held.answer()
  }

  /** Takes so many requests. */
  async take(count: number): Promise<Held[]> {
    const taken: Held[] = []
    while (taken.length < count) taken.push(await this.next())
    return taken
  }

  #take(exchange: Exchange, body: Buffer): void {
    const { method, url = '/', rawHeaders, headers } = exchange.request
    const endpoint = endpointOf(url, PREFIX)
    if (endpoint === 'models') return this.#list(exchange)
    if (endpoint === 'metrics') return this.#tellLoad(exchange)
    if (!endpoint || method !== 'POST') return write(exchange, 404, '{}')
    const ask = readAsk(endpoint, url.slice(PREFIX.length), rawHeaders, body)
    const label = String(headers['x-request-id'])
    this.taken.push(label)
    const held = this.#hold(exchange, ask, label)
    this.#open.add(held)
    this.mostRunning = Math.max(this.mostRunning, this.running)
    const want = this.#how ?? this.#wanted.shift()
    if (want) want(held)
    else this.#arrived.push(held)
  }

  #hold(exchange: Exchange, ask: Ask, label: string): Held {
    const over = (): void => {
      exchange.over()
      this.#open.delete(held)
    }
    const left = new Promise<void>((resolve) => {
      exchange.onLeft = () => {
        this.#open.delete(held)
        const index = this.#arrived.indexOf(held)
        if (index >= 0) this.#arrived.splice(index, 1)
        resolve()
      }
    })
    const held: Held = {
      label,
      model: ask.model ?? '',
      left,
      answer: (tokens = 10) => {
        over()
        ask.script = { text: 'word ', pieces: tokens }
        if (!ask.isStream) return write(exchange, 200, unaryReply(ask).body)
        this.#begin(exchange, ask)
        const { content, after } = eventPlan(ask)
        exchange.response.end([...content, ...after].join(''))
      },
      begin: () => this.#begin(exchange, ask),
      fail: (status, headers = {}) => {
        over()
        write(exchange, status, '{"error":{"message":"told to fail"}}', headers)
      },
      breakOff: () => {
        over()
        exchange.connection.break('reset')
      },
    }
    return held
  }

  #begin({ response }: Exchange, ask: Ask): void {
    if (response.headersSent) return
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(eventPlan(ask).before.join(''))
  }

  #list(exchange: Exchange): void {
    exchange.over()
    write(exchange, 200, modelList(this.#models).body)
  }

  #tellLoad(exchange: Exchange): void {
    exchange.over()
    this.looks++
    const { load } = this
    if (load) write(exchange, 200, vllmText(this.#models[0] ?? '', load), { 'content-type': 'text/plain' })
    else write(exchange, 404, '{}')
  }
}

function write(
  { response }: Exchange,
  status: number,
  body: string | Buffer,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(body)
}

/** Starts such a service, closed after the test. */
export async function startHeldService(t: Cleanup, options: HeldServiceOptions = {}): Promise<HeldService> {
  const service = new HeldService(options)
  await service.comeBack()
  t.after(() => service.refuse())
  return service
}
