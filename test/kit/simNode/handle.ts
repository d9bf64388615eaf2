/** What a test holds of a simulated node, in this process or in another: commands, what it saw, waiting. */
import { EventEmitter } from 'node:events'
import { within } from '../wait.ts'
import type { Act, Misdeed } from './misbehaviour.ts'
import type { ContainerSpec, Endpoint, SimNodeOptions } from './options.ts'
import type { RecordedRequest } from './records.ts'
import type { JobTrace } from './work.ts'

/** What can be changed while the node runs. */
export type Settable = Partial<
  Pick<
    SimNodeOptions,
    | 'concurrency'
    | 'speed'
    | 'slowness'
    | 'rateLimit'
    | 'pendingTtl'
    | 'streamLimit'
    | 'leftStreamsStayPending'
    | 'jobLimit'
    | 'chain'
    | 'walletAddress'
    | 'version'
    | 'maxBody'
  >
> & {
  containers?: (string | ContainerSpec)[]
  /** Seconds that a new connection waits until anything is read from it. */
  acceptDelay?: number
  /** What `/info` says instead of the true counts: a node that lies. `{}` is the truth again. */
  shownPending?: { offchain?: number; onchain?: number }
  /** The node's Redis is gone: jobs are taken and lost, `/info` and results are 500. */
  storeDown?: boolean
}

export type Command =
  | { do: 'misbehave'; misdeed: Misdeed }
  | { do: 'behave'; endpoint?: Endpoint }
  | { do: 'refuse' }
  | { do: 'listen' }
  | { do: 'cut' }
  | { do: 'forget'; finished?: boolean }
  | { do: 'resetLimits' }
  | { do: 'set'; settings: Settable }

export interface Counts {
  openSockets: number
  /** Connections accepted so far. */
  connections: number
  requests: number
  /** Requests that were complete and recorded. */
  recorded: number
  activeStreams: number
  /** As `/info` would say without a lie. */
  pending: number
  /** Jobs and streams in a place, and waiting for one. */
  running: number
  waiting: number
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

export interface SimNodeEvents {
  /** A request is complete; its answer has not begun. */
  request: [RecordedRequest]
  /** A client closed its connection before the end of the answer. */
  clientLeft: [ClientLeft]
  connection: [Connected]
  jobAccepted: [JobTrace]
  jobStarted: [JobTrace]
  jobEnded: [JobTrace]
  /** A subscription was accepted. */
  subscribed: [Record<string, unknown>]
}

export const EVENT_NAMES = [
  'request',
  'clientLeft',
  'connection',
  'jobAccepted',
  'jobStarted',
  'jobEnded',
  'subscribed',
] as const satisfies (keyof SimNodeEvents)[]

type Times = { times?: number }

/** `/info` answers that no honest node gives. */
export const BAD_INFO = {
  html: { act: 'answer', contentType: 'text/html', body: '<html><body>It works!</body></html>' },
  notJson: { act: 'answer', body: '{"version":"1.4.0","containers":[' },
  empty: { act: 'answer', body: '' },
  null: { act: 'answer', body: 'null' },
  list: { act: 'answer', body: '[]' },
  emptyObject: { act: 'answer', body: '{}' },
  wrongTypes: {
    act: 'answer',
    body: '{"version":1,"containers":{"id":7},"pending":{"offchain":"many","onchain":null},"chain":"yes"}',
  },
  negativePending: {
    act: 'answer',
    body: '{"version":"1.4.0","containers":[{"id":"echo","external":true}],"pending":{"offchain":-5,"onchain":1e999},"chain":{"enabled":false,"address":""}}',
  },
  huge: { act: 'huge', bytes: 256 * 2 ** 20 },
  redirect: { act: 'answer', status: 302, headers: { location: 'http://127.0.0.1:1/info' }, body: '' },
} as const satisfies Record<string, Act>

const WAIT_MS = 10_000

export abstract class SimNode extends EventEmitter<SimNodeEvents> {
  abstract readonly host: string
  abstract readonly port: number
  /** The requests seen, oldest first; the last so many. */
  abstract readonly requests: readonly RecordedRequest[]

  /** Resolves when the command has taken effect. */
  abstract command(command: Command): Promise<void>
  abstract counts(): Promise<Counts>
  /** Resolves when `requests` holds all that the node has seen until now. */
  abstract sync(): Promise<void>
  /** Traces of the last jobs and streams, in the order of acceptance. */
  abstract jobs(): Promise<JobTrace[]>
  /** Ends the node for good. */
  abstract stop(): Promise<void>

  /** `host:port`, as in an addresses file. */
  get address(): string {
    return `${this.host.includes(':') ? `[${this.host}]` : this.host}:${this.port}`
  }

  get url(): string {
    return `http://${this.address}`
  }

  /** Makes requests go wrong; the newest misdeed that fits a request befalls it. */
  misbehave(act: Act, endpoint?: Endpoint, times?: number): Promise<void> {
    const misdeed: Misdeed = { act, ...(endpoint ? { endpoint } : {}), ...(times === undefined ? {} : { times }) }
    return this.command({ do: 'misbehave', misdeed })
  }

  /** Ends the misdeeds of one endpoint, or all. */
  behave(endpoint?: Endpoint): Promise<void> {
    return this.command({ do: 'behave', ...(endpoint ? { endpoint } : {}) })
  }

  /** Takes requests and never answers; `runs`: the job starts all the same. */
  hang(endpoint?: Endpoint, { times, runs = false }: Times & { runs?: boolean } = {}): Promise<void> {
    return this.misbehave({ act: 'hang', runs }, endpoint, times)
  }

  /** Breaks connections, by default with a reset before the answer and before the job starts. */
  break(
    endpoint?: Endpoint,
    { times, ...how }: Times & Omit<Extract<Act, { act: 'break' }>, 'act'> = {},
  ): Promise<void> {
    return this.misbehave({ act: 'break', ...how }, endpoint, times)
  }

  garbage(endpoint?: Endpoint, { times, ...what }: Times & { bytes?: string; runs?: boolean } = {}): Promise<void> {
    return this.misbehave({ act: 'garbage', ...what }, endpoint, times)
  }

  /** Answers with this status, and the headers and body given, without acting on the request. */
  answer(
    status: number,
    endpoint?: Endpoint,
    { times, ...what }: Times & Omit<Extract<Act, { act: 'answer' }>, 'act' | 'status'> = {},
  ): Promise<void> {
    return this.misbehave(
      { act: 'answer', status, body: `{"error":"told to say ${status}"}`, ...what },
      endpoint,
      times,
    )
  }

  /** 429 as the node's limiter says it. */
  pushBack(endpoint?: Endpoint, { times, retryAfter = 1 }: Times & { retryAfter?: number } = {}): Promise<void> {
    const headers = { 'retry-after': String(retryAfter) }
    const body = '<!doctype html>\n<html lang=en>\n<title>429 Too Many Requests</title>\n'
    return this.answer(429, endpoint, {
      headers,
      body,
      contentType: 'text/html; charset=utf-8',
      ...(times ? { times } : {}),
    })
  }

  late(seconds: number, endpoint?: Endpoint, { times, runs = true }: Times & { runs?: boolean } = {}): Promise<void> {
    return this.misbehave({ act: 'late', seconds, runs }, endpoint, times)
  }

  /** The connection of a stream is broken after so many pieces; the id line is none. */
  dieAmidStream(
    afterPieces: number,
    { times, how = 'close' }: Times & { how?: 'reset' | 'close' } = {},
  ): Promise<void> {
    return this.misbehave({ act: 'script', script: { dieAfter: afterPieces, dieHow: how } }, 'stream', times)
  }

  /** A stream ends as if complete after so many pieces, and its job has failed. */
  failAmidStream(afterPieces: number, { times }: Times = {}): Promise<void> {
    return this.misbehave({ act: 'script', script: { failAfter: afterPieces } }, 'stream', times)
  }

  /** A stream says no more after so many pieces, its connection open. */
  stallAmidStream(afterPieces: number, { times }: Times = {}): Promise<void> {
    return this.misbehave({ act: 'script', script: { stallAfter: afterPieces } }, 'stream', times)
  }

  badInfo(kind: keyof typeof BAD_INFO, { times }: Times = {}): Promise<void> {
    return this.misbehave(BAD_INFO[kind], 'info', times)
  }

  set(settings: Settable): Promise<void> {
    return this.command({ do: 'set', settings })
  }

  /** Refuses new connections and breaks the open ones; jobs run on. */
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

  /** What a restart does to memory: unfinished jobs are gone; with `finished`, the others too. */
  forget({ finished = false } = {}): Promise<void> {
    return this.command({ do: 'forget', finished })
  }

  /** Gives every caller a whole budget again. */
  resetLimits(): Promise<void> {
    return this.command({ do: 'resetLimits' })
  }

  /** The requests so far to an endpoint. */
  seen(endpoint?: Endpoint): RecordedRequest[] {
    return this.requests.filter((request) => !endpoint || request.endpoint === endpoint)
  }

  /** The first request, past or future, that satisfies the condition; of one endpoint, if its name is given. */
  waitFor(
    condition: Endpoint | ((request: RecordedRequest) => boolean),
    { withinMs = WAIT_MS, after = 0 }: { withinMs?: number; after?: number } = {},
  ): Promise<RecordedRequest> {
    const fits = (request: RecordedRequest): boolean =>
      request.n > after && (typeof condition === 'string' ? request.endpoint === condition : condition(request))
    const past = this.requests.find(fits)
    return past ? Promise.resolve(past) : this.next('request', fits, withinMs)
  }

  /** The next event of that name, from now on, that satisfies the condition. */
  next<K extends keyof SimNodeEvents>(
    name: K,
    condition: (what: SimNodeEvents[K][0]) => boolean = () => true,
    withinMs = WAIT_MS,
  ): Promise<SimNodeEvents[K][0]> {
    const events = this as EventEmitter
    let listener: ((what: SimNodeEvents[K][0]) => void) | undefined
    const happened = new Promise<SimNodeEvents[K][0]>((resolve) => {
      listener = (what) => {
        if (condition(what)) resolve(what)
      }
      events.on(name, listener)
    })
    return within(happened, withinMs, () => `'${name}' of ${this.address}`).finally(() => {
      if (listener) events.off(name, listener)
    })
  }
}
