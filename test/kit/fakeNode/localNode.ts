/** A fake node in this process. */
import type { RecordedRequest } from '../fakeServer/records.ts'
import { ServerCore } from '../fakeServer/serverCore.ts'
import type { Cleanup } from '../wait.ts'
import { endpointOf, Rules } from './endpoints.ts'
import { fastPath } from './fastPath.ts'
import { EVENT_NAMES, FakeNode } from './handle.ts'
import type { Command, Counts, Settable } from './handle.ts'
import { NodeServer, splitUrl } from './nodeServer.ts'
import { container, withDefaults } from './options.ts'
import type { Endpoint, Settings, FakeNodeOptions } from './options.ts'
import type { JobTrace } from './work.ts'

/** How many traces of jobs are kept. */
const KEPT_TRACES = 20_000

/** What a benchmark may read at any time, without a question. */
export interface Load {
  pending: number
  running: number
  waiting: number
}

export class LocalFakeNode extends FakeNode {
  readonly host: string
  readonly #settings: Settings
  readonly #rules: Rules
  readonly #core: ServerCore<Endpoint>
  #traces: JobTrace[] = []
  controlPort: number | undefined

  constructor(options: FakeNodeOptions) {
    super()
    this.#settings = withDefaults(options)
    this.host = this.#settings.host
    this.#rules = new Rules(this.#settings, {
      jobAccepted: (trace) => this.#accepted(trace),
      jobStarted: (trace) => this.emit('jobStarted', trace),
      jobEnded: (trace) => this.emit('jobEnded', trace),
      subscribed: ({ subscription }) => this.emit('subscribed', subscription),
    })
    const server = new NodeServer(this.#settings, this.#rules)
    this.#core = new ServerCore(this.#settings, {
      endpointOf: (method, url) => endpointOf(method, splitUrl(url).path),
      serve: (exchange, endpoint, body, act) => server.serve(exchange, endpoint, body, act),
      request: (request) => this.emit('request', request),
      clientLeft: (left) => this.emit('clientLeft', left),
      connection: (connected) => this.emit('connection', connected),
      accept: this.#settings.fast ? this.#fastPath() : undefined,
    })
  }

  get port(): number {
    return this.#core.listener.port
  }

  get requests(): readonly RecordedRequest[] {
    return this.#core.requests
  }

  /** The true load at this moment. */
  get load(): Load {
    const { store, work } = this.#rules
    return { pending: store.pendingCount, running: work.running, waiting: work.waiting }
  }

  async start(): Promise<void> {
    this.controlPort = await this.#core.start(this, EVENT_NAMES)
  }

  async command(command: Command): Promise<void> {
    switch (command.do) {
      case 'forget':
        this.#rules.forgetPending()
        if (command.finished) this.#rules.store.forgetFinished()
        return
      case 'resetLimits':
        return this.#rules.resetLimits()
      case 'set':
        return this.#set(command.settings)
      default:
        return this.#core.execute(command)
    }
  }

  async counts(): Promise<Counts> {
    return { ...this.load, ...this.#core.counts(), activeStreams: this.#rules.work.streams }
  }

  async sync(): Promise<void> {
    // Nothing lies between.
  }

  async jobs(): Promise<JobTrace[]> {
    return [...this.#traces]
  }

  async stop(): Promise<void> {
    this.#rules.forgetPending()
    this.#core.stop()
  }

  #fastPath(): ReturnType<typeof fastPath> {
    return fastPath(this.#rules, () => {
      if (this.#core.isMisbehaving) return false
      this.#core.count()
      return true
    })
  }

  #set(settings: Settable): void {
    const { containers, acceptDelay, shownPending, storeDown, ...rest } = settings
    Object.assign(this.#settings, rest)
    if (containers) this.#settings.containers = containers.map(container)
    if (acceptDelay !== undefined) this.#core.listener.acceptDelayMs = acceptDelay * 1000
    if (shownPending) this.#rules.shownPending = shownPending
    if (storeDown !== undefined) this.#rules.isStoreDown = storeDown
    if (rest.concurrency !== undefined) this.#rules.work.setConcurrency(rest.concurrency)
  }

  #accepted(trace: JobTrace): void {
    this.#traces.push(trace)
    if (this.#traces.length >= 2 * KEPT_TRACES) this.#traces = this.#traces.slice(-KEPT_TRACES)
    this.emit('jobAccepted', trace)
  }
}

/** Starts a fake node, stopped after the test where `t` is given. */
export async function startFakeNode(options: FakeNodeOptions = {}, t?: Cleanup): Promise<LocalFakeNode> {
  const node = new LocalFakeNode(options)
  await node.start()
  t?.after(() => node.stop())
  return node
}
