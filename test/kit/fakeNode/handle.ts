/** What a test holds of a fake node: what every fake server takes, and what only a node does. */
import { SERVER_EVENTS, FakeServer } from '../fakeServer/fakeServer.ts'
import type { ServerCommand, ServerCounts, ServerEvents, Times } from '../fakeServer/fakeServer.ts'
import type { Act } from '../fakeServer/misbehaviour.ts'
import { eventually } from '../wait.ts'
import type { ContainerSpec, Endpoint, FakeNodeOptions } from './options.ts'
import type { JobTrace } from './work.ts'

/** What can be changed while the node runs. */
export type Settable = Partial<
  Pick<
    FakeNodeOptions,
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
  | ServerCommand<Endpoint>
  | { do: 'forget'; finished?: boolean }
  | { do: 'resetLimits' }
  | { do: 'set'; settings: Settable }

export interface Counts extends ServerCounts {
  activeStreams: number
  /** As `/info` would say without a lie. */
  pending: number
  /** Jobs and streams in a place, and waiting for one. */
  running: number
  waiting: number
}

export interface FakeNodeEvents extends ServerEvents {
  jobAccepted: JobTrace
  jobStarted: JobTrace
  jobEnded: JobTrace
  /** A subscription was accepted. */
  subscribed: Record<string, unknown>
}

export const EVENT_NAMES = [...SERVER_EVENTS, 'jobAccepted', 'jobStarted', 'jobEnded', 'subscribed'] as const

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

export abstract class FakeNode extends FakeServer<Endpoint, FakeNodeEvents, Command> {
  abstract override counts(): Promise<Counts>
  /** Traces of the last jobs and streams, in the order of acceptance. */
  abstract jobs(): Promise<JobTrace[]>

  /** The trace of that job once it has ended, be it in the past. */
  ended(id: string, withinMs = 10_000): Promise<JobTrace> {
    const look = async (): Promise<JobTrace | undefined> =>
      (await this.jobs()).find((job) => job.id === id && job.status !== 'running')
    return eventually(look, { withinMs, what: `the end of job ${id}` })
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

  /** What a restart does to memory: unfinished jobs are gone; with `finished`, the others too. */
  forget({ finished = false } = {}): Promise<void> {
    return this.command({ do: 'forget', finished })
  }

  /** Gives every caller a whole budget again. */
  resetLimits(): Promise<void> {
    return this.command({ do: 'resetLimits' })
  }
}
