/** A simulated node in this process. */
import type { Server } from 'node:http'
import { controlServer } from './control.ts'
import { Rules } from './endpoints.ts'
import { EVENT_NAMES, SimNode } from './handle.ts'
import type { Command, Counts, Settable } from './handle.ts'
import { Listener } from './listener.ts'
import { Misbehaviour } from './misbehaviour.ts'
import { NodeServer, plainAddress } from './nodeServer.ts'
import type { SeenRequest } from './nodeServer.ts'
import { container, withDefaults } from './options.ts'
import type { Settings, SimNodeOptions } from './options.ts'
import { RecordedRequest, RequestLog } from './records.ts'
import { now } from './work.ts'
import type { JobTrace } from './work.ts'

/** How many traces of jobs are kept. */
const KEPT_TRACES = 100_000

/** What a benchmark may read at any time, without a question. */
export interface Load {
  pending: number
  running: number
  waiting: number
}

export class LocalSimNode extends SimNode {
  readonly host: string
  readonly #settings: Settings
  readonly #rules: Rules
  readonly #misbehaviour = new Misbehaviour()
  readonly #server: NodeServer
  readonly #listener: Listener
  readonly #log: RequestLog
  #traces: JobTrace[] = []
  #recorded = 0
  #control: Server | undefined
  controlPort: number | undefined

  constructor(options: SimNodeOptions) {
    super()
    this.setMaxListeners(0)
    this.#settings = withDefaults(options)
    this.host = this.#settings.host
    this.#log = new RequestLog(this.#settings.record)
    this.#rules = new Rules(this.#settings, {
      jobAccepted: (trace) => this.#accepted(trace),
      jobStarted: (trace) => this.emit('jobStarted', trace),
      jobEnded: (trace) => this.emit('jobEnded', trace),
      subscribed: ({ subscription }) => this.emit('subscribed', subscription),
    })
    this.#server = new NodeServer(this.#settings, this.#rules, this.#misbehaviour, (seen) => this.#seen(seen))
    this.#listener = new Listener(this.#settings, {
      request: (request, response, connection) => this.#server.handle(request, response, connection),
      clientLeft: ({ n, endpoint, request }) =>
        this.emit('clientLeft', { n, endpoint, url: request.url ?? '', at: now() }),
      connection: ({ remoteAddress, remotePort = 0 }) =>
        this.emit('connection', { remoteAddress: plainAddress(remoteAddress), remotePort }),
    })
  }

  get port(): number {
    return this.#listener.port
  }

  get requests(): readonly RecordedRequest[] {
    return this.#log.list
  }

  /** The true load at this moment. */
  get load(): Load {
    const { store, work } = this.#rules
    return { pending: store.pendingCount, running: work.running, waiting: work.waiting }
  }

  async start(): Promise<void> {
    await this.#listener.listen(this.#settings.port)
    if (this.#settings.controlPort === undefined) return
    const { server, port } = await controlServer(this, EVENT_NAMES, this.#settings.controlPort)
    this.#control = server
    this.controlPort = port
  }

  async command(command: Command): Promise<void> {
    switch (command.do) {
      case 'misbehave':
        return this.#misbehaviour.add(command.misdeed)
      case 'behave':
        return this.#misbehaviour.clear(command.endpoint)
      case 'refuse':
        return this.#listener.refuse()
      case 'listen':
        return this.#listener.listen(this.#settings.port)
      case 'cut':
        return this.#listener.cut()
      case 'forget':
        this.#rules.forgetPending()
        if (command.finished) this.#rules.store.forgetFinished()
        return
      case 'resetLimits':
        return this.#rules.resetLimits()
      case 'set':
        return this.#set(command.settings)
    }
  }

  async counts(): Promise<Counts> {
    return {
      ...this.load,
      openSockets: this.#listener.openSockets,
      connections: this.#listener.accepted,
      requests: this.#server.requests,
      recorded: this.#recorded,
      activeStreams: this.#rules.work.streams,
    }
  }

  async sync(): Promise<void> {
    // Nothing lies between.
  }

  async jobs(): Promise<JobTrace[]> {
    return [...this.#traces]
  }

  async stop(): Promise<void> {
    this.#rules.forgetPending()
    this.#listener.refuse()
    this.#control?.close()
    this.#control?.closeAllConnections()
  }

  #set(settings: Settable): void {
    const { containers, acceptDelay, shownPending, storeDown, ...rest } = settings
    Object.assign(this.#settings, rest)
    if (containers) this.#settings.containers = containers.map(container)
    if (acceptDelay !== undefined) this.#listener.acceptDelayMs = acceptDelay * 1000
    if (shownPending) this.#rules.shownPending = shownPending
    if (storeDown !== undefined) this.#rules.isStoreDown = storeDown
    if (rest.concurrency !== undefined) this.#rules.work.setConcurrency(rest.concurrency)
  }

  #accepted(trace: JobTrace): void {
    this.#traces.push(trace)
    if (this.#traces.length >= 2 * KEPT_TRACES) this.#traces = this.#traces.slice(-KEPT_TRACES)
    this.emit('jobAccepted', trace)
  }

  #seen({ n, endpoint, request, ip, body }: SeenRequest): void {
    if (this.#settings.record <= 0) return
    const { method = '', url = '', httpVersion, rawHeaders, socket } = request
    const data = {
      n,
      at: now(),
      endpoint,
      method,
      url,
      httpVersion,
      rawHeaders,
      remoteAddress: ip,
      remotePort: socket.remotePort ?? 0,
      bodyLength: body.length,
    }
    const record = new RecordedRequest(data, body.length <= this.#settings.recordBody ? body : undefined)
    this.#log.add(record)
    this.#recorded++
    this.emit('request', record)
  }
}

/** Starts a simulated node, stopped after the test where `t` is given. */
export async function startSimNode(
  options: SimNodeOptions = {},
  t?: { after(fn: () => unknown): void },
): Promise<LocalSimNode> {
  const node = new LocalSimNode(options)
  await node.start()
  t?.after(() => node.stop())
  return node
}
