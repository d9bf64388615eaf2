/** What a test holds of a simulated server, in this process or in another: commands, what it saw, waiting. */
import { EventEmitter } from 'node:events'
import { within } from '../wait.ts'
import type { Act, Misdeed } from './misbehaviour.ts'
import type { RecordedRequest } from './records.ts'

/** Commands that every fake server takes; they are plain data, for they may go to another process. */
export type ServerCommand<E extends string> =
  | { do: 'misbehave'; misdeed: Misdeed<E> }
  | { do: 'behave'; endpoint?: E }
  | { do: 'refuse' }
  | { do: 'listen' }
  | { do: 'cut' }

export interface ServerCounts {
  openSockets: number
  /** Connections accepted so far. */
  connections: number
  requests: number
  /** Requests that were complete and recorded. */
  recorded: number
}

export interface ClientLeft {
  /** The request's number. */
  n: number
  endpoint: string | undefined
  url: string
  /** Milliseconds since the epoch, with fractions. */
  at: number
}

export interface Connected {
  remoteAddress: string
  remotePort: number
}

/** Names and what listeners are told. */
export interface ServerEvents {
  /** A request is complete; its answer has not begun. */
  request: RecordedRequest
  /** A client closed its connection before the end of the answer. */
  clientLeft: ClientLeft
  connection: Connected
}

export const SERVER_EVENTS = ['request', 'clientLeft', 'connection'] as const

export type Times = { times?: number }

const WAIT_MS = 20_000

export abstract class FakeServer<E extends string, Events extends ServerEvents, Command> {
  abstract readonly host: string
  abstract readonly port: number
  /** The requests seen, oldest first; the last so many. */
  abstract readonly requests: readonly RecordedRequest[]
  readonly #emitter = new EventEmitter().setMaxListeners(0)

  /** Resolves when the command has taken effect. */
  abstract command(command: Command | ServerCommand<E>): Promise<void>
  abstract counts(): Promise<ServerCounts>
  /** Resolves when `requests` holds all that the server has seen until now. */
  abstract sync(): Promise<void>
  /** Ends the server for good. */
  abstract stop(): Promise<void>

  /** `host:port`, as in an addresses file. */
  get address(): string {
    return `${this.host.includes(':') ? `[${this.host}]` : this.host}:${this.port}`
  }

  get url(): string {
    return `http://${this.address}`
  }

  /** Makes requests go wrong; the newest misdeed that fits a request befalls it. */
  misbehave(act: Act, endpoint?: E, times?: number): Promise<void> {
    const misdeed: Misdeed<E> = { act, ...(endpoint ? { endpoint } : {}), ...(times === undefined ? {} : { times }) }
    return this.command({ do: 'misbehave', misdeed })
  }

  /** Ends the misdeeds of one endpoint, or all. */
  behave(endpoint?: E): Promise<void> {
    return this.command({ do: 'behave', ...(endpoint ? { endpoint } : {}) })
  }

  /** Takes requests and never answers; `runs`: they take effect all the same. */
  hang(endpoint?: E, { times, runs = false }: Times & { runs?: boolean } = {}): Promise<void> {
    return this.misbehave({ act: 'hang', runs }, endpoint, times)
  }

  /** Breaks connections, by default with a reset before the answer and before the request takes effect. */
  break(endpoint?: E, { times, ...how }: Times & Omit<Extract<Act, { act: 'break' }>, 'act'> = {}): Promise<void> {
    return this.misbehave({ act: 'break', ...how }, endpoint, times)
  }

  garbage(endpoint?: E, { times, ...what }: Times & { bytes?: string; runs?: boolean } = {}): Promise<void> {
    return this.misbehave({ act: 'garbage', ...what }, endpoint, times)
  }

  /** Answers with this status, and the headers and body given, without acting on the request. */
  answer(
    status: number,
    endpoint?: E,
    { times, ...what }: Times & Omit<Extract<Act, { act: 'answer' }>, 'act' | 'status'> = {},
  ): Promise<void> {
    return this.misbehave(
      { act: 'answer', status, body: `{"error":"told to say ${status}"}`, ...what },
      endpoint,
      times,
    )
  }

  /** 429 with a web page and the seconds to wait, as a node's limiter says it. */
  pushBack(endpoint?: E, { times, retryAfter = 1 }: Times & { retryAfter?: number } = {}): Promise<void> {
    const headers = { 'retry-after': String(retryAfter) }
    const body = '<!doctype html>\n<html lang=en>\n<title>429 Too Many Requests</title>\n'
    const what = { headers, body, contentType: 'text/html; charset=utf-8' }
    return this.answer(429, endpoint, { ...what, ...(times === undefined ? {} : { times }) })
  }

  late(seconds: number, endpoint?: E, { times, runs = true }: Times & { runs?: boolean } = {}): Promise<void> {
    return this.misbehave({ act: 'late', seconds, runs }, endpoint, times)
  }

  /** Refuses new connections and breaks the open ones; work goes on. */
  refuse(): Promise<void> {
    return this.command({ do: 'refuse' })
  }

  /** Listens again, on the same port. */
  comeBack(): Promise<void> {
    return this.command({ do: 'listen' })
  }

  /** Breaks the open connections. */
  cut(): Promise<void> {
    return this.command({ do: 'cut' })
  }

  /** The requests so far to an endpoint, or all. */
  seen(endpoint?: E): RecordedRequest[] {
    return this.requests.filter((request) => !endpoint || request.endpoint === endpoint)
  }

  /** The first request, past or future, that satisfies the condition; of one endpoint, if its name is given. */
  waitFor(
    condition: E | ((request: RecordedRequest) => boolean),
    { withinMs = WAIT_MS, after = 0 }: { withinMs?: number; after?: number } = {},
  ): Promise<RecordedRequest> {
    const fits = (request: RecordedRequest): boolean =>
      request.n > after && (typeof condition === 'function' ? condition(request) : request.endpoint === condition)
    const past = this.requests.find(fits)
    return past ? Promise.resolve(past) : this.next('request', fits, withinMs)
  }

  /** The next event of that name, from now on, that satisfies the condition. */
  next<K extends keyof Events & string>(
    name: K,
    condition: (what: Events[K]) => boolean = () => true,
    withinMs = WAIT_MS,
  ): Promise<Events[K]> {
    let listener: ((what: Events[K]) => void) | undefined
    const happened = new Promise<Events[K]>((resolve) => {
      listener = (what) => {
        if (condition(what)) resolve(what)
      }
      this.on(name, listener)
    })
    return within(happened, withinMs, () => `'${name}' of ${this.address}`).finally(() => {
      if (listener) this.off(name, listener)
    })
  }

  on<K extends keyof Events & string>(name: K, listener: (what: Events[K]) => void): this {
    this.#emitter.on(name, listener)
    return this
  }

  off<K extends keyof Events & string>(name: K, listener: (what: Events[K]) => void): this {
    this.#emitter.off(name, listener)
    return this
  }

  protected emit<K extends keyof Events & string>(name: K, what: Events[K]): void {
    this.#emitter.emit(name, what)
  }
}
