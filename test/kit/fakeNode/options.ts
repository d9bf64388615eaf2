/** What a fake node can be told when it starts. Everything is plain data: it may start in another process. */

/** The things a node can be asked, by the names that limits and misbehaviour use. */
export type Endpoint = 'health' | 'info' | 'resources' | 'submit' | 'batch' | 'stream' | 'jobs' | 'status'

export interface ContainerSpec {
  id: string
  description?: string
  image?: string
  /** An internal container may only follow another one. Default true: external. */
  external?: boolean
  generatesProofs?: boolean
  /** Addresses or CIDR ranges that may use it; none: everybody. */
  allowedIps?: string[]
  /** Chain addresses whose delegated subscriptions may use it; none: all. */
  allowedDelegates?: string[]
  /** Model ids for `/resources`. */
  models?: string[]
  /** Configured, but nothing answers behind it: its jobs fail. Default false. */
  dead?: boolean
  /** Multiplies the service times of jobs whose first container it is. Default 1. */
  slowness?: number
  /** Configured, but not running: `/info` does not list it. Default true: running. */
  running?: boolean
}

/** Seconds of service a job takes: fixed, or drawn for each job. */
export type ServiceTime =
  | number
  | { kind: 'exponential'; mean: number }
  | { kind: 'uniform'; from: number; to: number }
  | { kind: 'bimodal'; short: number; long: number; longShare: number }

export interface FakeNodeOptions {
  /** 0 takes a free one that can be had again after a close. */
  port?: number
  host?: string
  /** A name alone is an external container of that name. */
  containers?: (string | ContainerSpec)[]
  /** Jobs and streams it runs at once; more wait. They all count as pending. */
  concurrency?: number
  /** Seconds of service of a job that has no `data.seconds`. Default 0. */
  speed?: ServiceTime
  /** Multiplies every service time. Default 1. */
  slowness?: number
  /** Requests a minute for each endpoint and caller; 0 is none. The real default is 60. */
  rateLimit?: number | Partial<Record<Endpoint, number>>
  /** Seconds until a pending record expires, even if the job still runs. */
  pendingTtl?: number
  /** Seconds after which a stream is cut; 0 is never. */
  streamLimit?: number
  /** A stream whose client left stays in the pending count until its record expires, as in the real one. */
  leftStreamsStayPending?: boolean
  /** Seconds after which an idle connection is closed; 0 is never. */
  idleTimeout?: number
  /** A connection is closed, unannounced, after the answer to so many requests; 0 is never. */
  requestsPerConnection?: number
  /** Seconds until a container's answer is given up and its job failed; 0 is never. */
  jobLimit?: number
  /** Subscriptions are accepted. */
  chain?: boolean
  walletAddress?: string
  version?: string
  /** Largest request body in bytes. */
  maxBody?: number
  /** For benchmarks: plain job submissions bypass the HTTP server, at half the cost, unrecorded. */
  fast?: boolean
  /** How many of the last requests are kept for tests to look at; 0 records nothing. */
  record?: number
  /** Bytes of each request's body that are kept. */
  recordBody?: number
  /** How many of the last finished jobs are remembered. */
  keepFinished?: number
  /** File in which finished jobs survive the process, as they do in a real node's Redis. */
  finishedFile?: string
  /** Port for commands from other processes; without one there is none. */
  controlPort?: number
  /** Seeds the drawing of service times. */
  seed?: number
}

export type Settings = Required<Omit<FakeNodeOptions, 'containers' | 'controlPort' | 'finishedFile'>> & {
  containers: Container[]
  controlPort: number | undefined
  finishedFile: string | undefined
}

export type Container = Required<ContainerSpec>

const DEFAULTS = {
  port: 0,
  host: '127.0.0.1',
  concurrency: 4,
  speed: 0,
  slowness: 1,
  rateLimit: 60,
  pendingTtl: 15 * 60,
  streamLimit: 60,
  leftStreamsStayPending: true,
  idleTimeout: 5,
  requestsPerConnection: 1001,
  jobLimit: 180,
  chain: false,
  walletAddress: '',
  version: '1.4.0',
  maxBody: 16 * 2 ** 20,
  fast: false,
  record: 10_000,
  recordBody: 2 ** 20,
  keepFinished: 20_000,
  seed: 1,
} satisfies FakeNodeOptions

export function withDefaults(options: FakeNodeOptions): Settings {
  const { containers = ['echo'], controlPort, finishedFile, ...rest } = options
  return { ...DEFAULTS, ...rest, containers: containers.map(container), controlPort, finishedFile }
}

export function container(spec: string | ContainerSpec): Container {
  const given = typeof spec === 'string' ? { id: spec } : spec
  return {
    description: '',
    image: `example/${given.id}:1`,
    external: true,
    generatesProofs: false,
    allowedIps: [],
    allowedDelegates: [],
    models: [],
    dead: false,
    slowness: 1,
    running: true,
    ...given,
  }
}
