/** A simulated OpenAI-compatible service in this process: answers, streams, and misbehaves on command. */
import type { RecordedRequest } from '../fakeServer/records.ts'
import { misbehave } from '../fakeServer/misbehave.ts'
import { ServerCore } from '../fakeServer/serverCore.ts'
import { SERVER_EVENTS, FakeServer } from '../fakeServer/fakeServer.ts'
import type { ServerCommand, ServerCounts, ServerEvents, Times } from '../fakeServer/fakeServer.ts'
import type { Cleanup } from '../wait.ts'
import { endpointOf } from './ask.ts'
import type { Script } from './ask.ts'
import { withDefaults } from './options.ts'
import type { ServiceEndpoint, ServiceSettings, FakeOpenAiOptions } from './options.ts'
import { Serving } from './serving.ts'

/** What can be changed while the service runs. */
export type ServiceSettable = Partial<
  Pick<
    FakeOpenAiOptions,
    'models' | 'prefix' | 'listsModels' | 'apiKey' | 'concurrency' | 'hasMetrics' | 'others' | 'seconds' | 'pieceMs'
  >
> & {
  /** Seconds that a new connection waits until anything is read from it. */
  acceptDelay?: number
}

export type ServiceCommand = ServerCommand<ServiceEndpoint> | { do: 'set'; settings: ServiceSettable }

export interface ServiceCounts extends ServerCounts {
  activeStreams: number
  running: number
  waiting: number
}

export class FakeOpenAi extends FakeServer<ServiceEndpoint, ServerEvents, ServiceCommand> {
  readonly host: string
  readonly #settings: ServiceSettings
  readonly #serving: Serving
  readonly #core: ServerCore<ServiceEndpoint>
  controlPort: number | undefined

  constructor(options: FakeOpenAiOptions) {
    super()
    this.#settings = withDefaults(options)
    this.host = this.#settings.host
    this.#serving = new Serving(this.#settings)
    this.#core = new ServerCore(this.#settings, {
      endpointOf: (_method, url) => endpointOf(url, this.#settings.prefix),
      serve: (exchange, endpoint, body, act) => {
        const prepare = (): ReturnType<Serving['prepare']> => this.#serving.prepare(exchange, endpoint, body)
        if (act) misbehave(exchange, act, prepare)
        else prepare().deliver()
      },
      request: (request) => this.emit('request', request),
      clientLeft: (left) => this.emit('clientLeft', left),
      connection: (connected) => this.emit('connection', connected),
    })
  }

  get port(): number {
    return this.#core.listener.port
  }

  get requests(): readonly RecordedRequest[] {
    return this.#core.requests
  }

  async start(): Promise<void> {
    this.controlPort = await this.#core.start(this, SERVER_EVENTS)
  }

  async command(command: ServiceCommand): Promise<void> {
    if (command.do !== 'set') return this.#core.execute(command)
    const { acceptDelay, ...settings } = command.settings
    Object.assign(this.#settings, settings)
    if (acceptDelay !== undefined) this.#core.listener.acceptDelayMs = acceptDelay * 1000
    if (settings.concurrency !== undefined) this.#serving.queue.setPlaces(settings.concurrency)
  }

  async counts(): Promise<ServiceCounts> {
    const { activeStreams, queue } = this.#serving
    return { ...this.#core.counts(), activeStreams, running: queue.running, waiting: queue.waiting }
  }

  async sync(): Promise<void> {
    // Nothing lies between.
  }

  async stop(): Promise<void> {
    this.#core.stop()
  }

  set(settings: ServiceSettable): Promise<void> {
    return this.command({ do: 'set', settings })
  }

  /** Does as the member `sim` of a request says, though it is not there. */
  script(script: Script, endpoint?: ServiceEndpoint, { times }: Times = {}): Promise<void> {
    return this.misbehave({ act: 'script', script: { ...script } }, endpoint, times)
  }

  /** The connection is broken after so many pieces of content. */
  dieAmidStream(
    afterPieces: number,
    { times, how = 'close' }: Times & { how?: 'reset' | 'close' } = {},
  ): Promise<void> {
    return this.script({ dieAfter: afterPieces, dieHow: how }, undefined, times === undefined ? {} : { times })
  }

  /** Nothing comes before the first byte, and no more ever. */
  hangBeforeFirstByte(endpoint?: ServiceEndpoint, times: Times = {}): Promise<void> {
    return this.hang(endpoint, times)
  }
}

/** Starts a fake service, stopped after the test where `t` is given. */
export async function startFakeOpenAi(options: FakeOpenAiOptions = {}, t?: Cleanup): Promise<FakeOpenAi> {
  const service = new FakeOpenAi(options)
  await service.start()
  t?.after(() => service.stop())
  return service
}
