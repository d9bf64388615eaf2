/** What simulated servers in this process share: the listener, the misdeeds, the record of requests, the control port. */
import type { Server } from 'node:http'
import { controlServer } from './control.ts'
import type { Controlled } from './control.ts'
import type { Connection, Exchange } from './exchange.ts'
import { Listener } from './listener.ts'
import { Misbehaviour } from './misbehaviour.ts'
import type { Act } from './misbehaviour.ts'
import { RecordedRequest } from './records.ts'
import type { ClientLeft, Connected, ServerCommand, ServerCounts } from './fakeServer.ts'

export interface CoreOptions {
  host: string
  port: number
  idleTimeout: number
  /** How many of the last requests are kept; 0 records nothing. */
  record: number
  /** Bytes of each request's body that are kept. */
  recordBody: number
  controlPort: number | undefined
}

export interface CoreEvents<E extends string> {
  endpointOf: (method: string, url: string) => E | undefined
  /** A request is complete and, perhaps, to be dealt with wrongly. */
  serve: (exchange: Exchange, endpoint: E | undefined, body: Buffer, act: Act | undefined) => void
  request: (request: RecordedRequest) => void
  clientLeft: (left: ClientLeft) => void
  connection: (connected: Connected) => void
  /** Where given, has a new connection first: and hands it on to the HTTP server or not. */
  accept?: ((connection: Connection, handOn: () => void) => void) | undefined
}

export class ServerCore<E extends string> {
  readonly requests: RecordedRequest[] = []
  readonly listener: Listener
  readonly #options: CoreOptions
  readonly #events: CoreEvents<E>
  readonly #misbehaviour = new Misbehaviour<E>()
  #control: Server | undefined
  #counted = 0
  #recorded = 0

  constructor(options: CoreOptions, events: CoreEvents<E>) {
    this.#options = options
    this.#events = events
    this.listener = new Listener(options, {
      exchange: (exchange) => this.#take(exchange),
      clientLeft: ({ n, endpoint, request }) => {
        events.clientLeft({ n, endpoint, url: request.url ?? '', at: now() })
      },
      connection: ({ remoteAddress, remotePort = 0 }) => {
        events.connection({ remoteAddress: plainAddress(remoteAddress), remotePort })
      },
      accept: events.accept,
    })
  }

  /** Returns the control port, if there is one. */
  async start(controlled: Controlled, eventNames: readonly string[]): Promise<number | undefined> {
    await this.listener.listen(this.#options.port)
    if (this.#options.controlPort === undefined) return undefined
    const { server, port } = await controlServer(controlled, eventNames, this.#options.controlPort)
    this.#control = server
    return port
  }

  async execute(command: ServerCommand<E>): Promise<void> {
    switch (command.do) {
      case 'misbehave':
        return this.#misbehaviour.add(command.misdeed)
      case 'behave':
        return this.#misbehaviour.clear(command.endpoint)
      case 'refuse':
        return this.listener.refuse()
      case 'listen':
        return this.listener.listen(this.#options.port)
      case 'cut':
        return this.listener.cut()
    }
  }

  /** Counts a request served past the HTTP server. */
  count(): void {
    this.#counted++
  }

  get isMisbehaving(): boolean {
    return this.#misbehaviour.isActive
  }

  counts(): ServerCounts {
    const { openSockets, accepted } = this.listener
    return { openSockets, connections: accepted, requests: this.#counted, recorded: this.#recorded }
  }

  stop(): void {
    this.listener.refuse()
    this.#control?.close()
    this.#control?.closeAllConnections()
  }

  #take(exchange: Exchange): void {
    const { method = 'GET', url = '/' } = exchange.request
    const endpoint = this.#events.endpointOf(method, url)
    exchange.n = ++this.#counted
    exchange.endpoint = endpoint
    const act = this.#misbehaviour.take(endpoint)
    if (act?.act === 'break' && act.when === 'request') return exchange.connection.break(act.how ?? 'reset')
    exchange.readBody((body) => {
      if (this.#options.record > 0) this.#record(exchange, body)
      this.#events.serve(exchange, endpoint, body, act)
    })
  }

  #record({ n, endpoint, request }: Exchange, body: Buffer): void {
    const { method = '', url = '', httpVersion, rawHeaders, socket } = request
    const data = {
      n,
      at: now(),
      endpoint,
      method,
      url,
      httpVersion,
      rawHeaders,
      remoteAddress: plainAddress(socket.remoteAddress),
      remotePort: socket.remotePort ?? 0,
      bodyLength: body.length,
    }
    const { record, recordBody } = this.#options
    const recorded = new RecordedRequest(data, body.length <= recordBody ? body : undefined)
    this.#recorded++
    this.requests.push(recorded)
    // Trimmed now and then: one element at a time would move the whole list for each request.
    if (this.requests.length >= 2 * record) this.requests.splice(0, this.requests.length - record)
    this.#events.request(recorded)
  }
}

/** Milliseconds since the epoch, with fractions. */
export function now(): number {
  return performance.timeOrigin + performance.now()
}

/** An IPv4 address is written as such, on whatever socket it came. */
export function plainAddress(address: string | undefined): string {
  return (address ?? '').replace(/^::ffff:/, '')
}
