/** The socket side that simulated servers share: listening, refusing, breaking, and who is connected. */
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import type { AddressInfo, Server as TcpServer, Socket } from 'node:net'
import { freePort } from '../wait.ts'
import { Connection, Exchange } from './exchange.ts'

export interface ListenerOptions {
  host: string
  /** Seconds until an idle connection is closed; 0 is never. */
  idleTimeout: number
}

export interface ListenerEvents {
  /** The head of a request is there. */
  exchange: (exchange: Exchange) => void
  /** The client closed the connection before the end of the answer. */
  clientLeft: (exchange: Exchange) => void
  connection: (socket: Socket) => void
  /** Where given, has a new connection first, and hands it on to the HTTP server or not. */
  accept?: ((connection: Connection, handOn: () => void) => void) | undefined
}

export class Listener {
  readonly #options: ListenerOptions
  readonly #events: ListenerEvents
  readonly #http: HttpServer
  readonly #tcp: TcpServer
  readonly #connections = new Map<Socket, Connection>()
  /** Milliseconds that a new connection waits until anything is read from it. */
  acceptDelayMs = 0
  port = 0
  accepted = 0

  constructor(options: ListenerOptions, events: ListenerEvents) {
    this.#options = options
    this.#events = events
    this.#http = createHttpServer({ keepAliveTimeout: options.idleTimeout * 1000, maxHeaderSize: 64 * 2 ** 10 })
    // Node waits a second longer than it says; the server simulated here does not.
    this.#http.keepAliveTimeoutBuffer = 0
    this.#http.on('request', (request, response) => this.#onRequest(request, response))
    this.#http.on('clientError', (_error, socket) => refuseNonsense(socket as Socket))
    // A TCP server of its own: it can be closed and opened while the HTTP server and its connections live.
    this.#tcp = createTcpServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#onConnection(socket))
  }

  get isListening(): boolean {
    return this.#tcp.listening
  }

  get openSockets(): number {
    return this.#connections.size
  }

  /** Listens: at first on the port given (0: a free one), later on the same again. */
  async listen(port: number): Promise<void> {
    if (this.#tcp.listening) return
    const wanted = this.port || port || (await freePort(this.#options.host))
    this.#tcp.listen(wanted, this.#options.host)
    await once(this.#tcp, 'listening')
    this.port = (this.#tcp.address() as AddressInfo).port
  }

  /** Refuses new connections from now on, and breaks the open ones. */
  refuse(): void {
    if (this.#tcp.listening) this.#tcp.close()
    this.cut()
  }

  /** Breaks all connections, answered or not. */
  cut(): void {
    for (const connection of this.#connections.values()) connection.break('reset')
  }

  #onConnection(socket: Socket): void {
    this.accepted++
    const connection = new Connection(socket)
    this.#connections.set(socket, connection)
    socket.on('close', () => this.#onClose(connection))
    socket.on('error', () => undefined)
    this.#events.connection(socket)
    // Until the first request; after each answer, the HTTP server's own clock runs.
    if (this.#options.idleTimeout > 0) socket.setTimeout(this.#options.idleTimeout * 1000)
    const handOn = (): void => void this.#http.emit('connection', socket)
    const accept = (): void => (this.#events.accept ? this.#events.accept(connection, handOn) : handOn())
    if (this.acceptDelayMs > 0) setTimeout(accept, this.acceptDelayMs)
    else accept()
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const connection = this.#connections.get(request.socket)
    if (!connection) return
    if (connection.requests++ === 0) request.socket.setTimeout(0)
    this.#events.exchange(new Exchange(request, response, connection))
  }

  #onClose(connection: Connection): void {
    this.#connections.delete(connection.socket)
    for (const exchange of connection.open) {
      this.#events.clientLeft(exchange)
      exchange.onLeft?.()
    }
    connection.open.clear()
  }
}

/** What is no HTTP gets the answer hypercorn gives. */
function refuseNonsense(socket: Socket): void {
  if (!socket.writable) return void socket.destroy()
  const date = new Date().toUTCString()
  socket.end(
    `HTTP/1.1 400 \r\ncontent-length: 0\r\nconnection: close\r\ndate: ${date}\r\nserver: hypercorn-h11\r\n\r\n`,
  )
}
