/** What a simulated OpenAI-compatible service can be told when it starts. */

/** The things a service can be asked, by the names that misbehaviour uses. */
export type ServiceEndpoint =
  | 'models'
  | 'metrics'
  | 'chat'
  | 'completions'
  | 'embeddings'
  | 'responses'
  | 'messages'
  | 'rerank'
  | 'score'
  | 'tokenize'
  | 'countTokens'
  | 'moderations'
  | 'audio'
  | 'images'

export interface FakeOpenAiOptions {
  /** 0 takes a free one that can be had again after a close. */
  port?: number
  host?: string
  models?: string[]
  /** Where its paths begin; anything else is 404. */
  prefix?: '/v1' | '' | 'both'
  /** `false`: the list of models is 404, at every prefix. */
  listsModels?: boolean
  /** Where set, other keys get 401. */
  apiKey?: string
  /** Requests it serves at once; more wait. */
  concurrency?: number
  /** `true`: it tells its load at `/metrics`, outside of the prefix, as vLLM does; otherwise that is 404. */
  hasMetrics?: boolean
  /** Requests of others, which `/metrics` counts beside those that came here. */
  others?: { running: number; waiting: number }
  /** Seconds until a unary answer, or the first event. */
  seconds?: number
  /** Milliseconds between two pieces of content. */
  pieceMs?: number
  /** Seconds after which an idle connection is closed; 0 is never. */
  idleTimeout?: number
  record?: number
  recordBody?: number
  controlPort?: number
}

export type ServiceSettings = Required<Omit<FakeOpenAiOptions, 'apiKey' | 'controlPort'>> & {
  apiKey: string | undefined
  controlPort: number | undefined
}

const DEFAULTS = {
  port: 0,
  host: '127.0.0.1',
  models: ['small-model'],
  prefix: '/v1',
  listsModels: true,
  concurrency: 8,
  hasMetrics: false,
  others: { running: 0, waiting: 0 },
  seconds: 0,
  pieceMs: 0,
  idleTimeout: 5,
  record: 10_000,
  recordBody: 2 ** 20,
} satisfies FakeOpenAiOptions

export function withDefaults({ apiKey, controlPort, ...rest }: FakeOpenAiOptions): ServiceSettings {
  return { ...DEFAULTS, ...rest, apiKey, controlPort }
}
