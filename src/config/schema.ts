import type { FormatName, FormatOptions } from './formats.ts'

/** One row of the schema. The documentation line is Markdown and ends without a full stop. */
interface Setting<Value> extends FormatOptions {
  doc: string
  format: FormatName
  default: Value
  /** How the tables show the default, where its plain text would not do. */
  defaultText?: string
  /** Never shown in an error: the value is a secret or may hold one. */
  sensitive?: boolean
}

const setting = <Value>(row: Setting<Value>): Setting<Value> => row

/** One millisecond; less would be rounded to 0, which HTTP libraries take for "no time-out". */
const shortest = 0.001
const hour = 3600
const day = 86_400
const megabyte = 1024 ** 2
const gigabyte = 1024 ** 3
/** More processes than any machine has cores for. */
const manyWorkers = 512
const manyRequests = 1_000_000_000
/** Each waiting request holds a connection, and no process has more. */
const manyWaiting = 1_000_000

/** Every setting under its variable, in the order in which they are documented. Times are in seconds. */
export const schema = {
  PORT: setting({
    doc: 'port to listen on; 0 takes a free one, and the log says which',
    format: 'whole-number',
    min: 0,
    max: 65_535,
    default: 4000,
  }),
  HOST: setting({ doc: 'address to listen on', format: 'host', default: '0.0.0.0' }),
  REUSE_PORT: setting({
    doc: 'whether other processes may listen on the port too; the system spreads connections (Linux; not with several `WORKERS`)',
    format: 'true-or-false',
    default: false,
  }),
  WORKERS: setting<number | 'auto'>({
    doc: 'processes that share the port and the ledger of this machine; `auto`: one for each core',
    format: 'workers',
    min: 1,
    max: manyWorkers,
    default: 1,
  }),
  IPS_FILE: setting({
    doc: 'file of node addresses, one a line (see `config/ips.txt.example`); reread when it changes',
    format: 'text',
    default: 'ips.txt',
  }),
  API_URL: setting({
    doc: 'Node Explorer to ask for more nodes: an http(s) URL',
    format: 'http-url',
    default: '',
    sensitive: true,
  }),
  REGISTRY_URL: setting({
    doc: 'InfiniLM registry to ask for OpenAI-compatible services: an http(s) URL',
    format: 'http-url',
    default: '',
    sensitive: true,
  }),
  DISCOVERY_ALLOW_PRIVATE: setting({
    doc: "whether the explorer's and the registry's addresses may lie in loopback, link-local or private ranges, or be names",
    format: 'true-or-false',
    default: false,
  }),
  SERVICES_FILE: setting({
    doc: 'JSON file of OpenAI-compatible backends; reread when it changes',
    format: 'text',
    optional: true,
    default: '',
  }),
  REFRESH_INTERVAL: setting({
    doc: 'seconds between two polls of a node',
    format: 'seconds',
    min: shortest,
    max: hour,
    default: 30,
  }),
  RATELIMIT_REQS_PER_MIN: setting({
    doc: 'requests a minute per caller on each look-up endpoint; 0 is no limit',
    format: 'whole-number',
    min: 0,
    max: manyRequests,
    default: 10,
  }),
  PROXY_RATELIMIT_REQS_PER_MIN: setting({
    doc: 'requests a minute per caller over all forwarded work (POST, PUT); a batch counts its items; 0 is no limit',
    format: 'whole-number',
    min: 0,
    max: manyRequests,
    default: 600,
  }),
  READ_RATELIMIT_REQS_PER_MIN: setting({
    doc: 'requests a minute per caller over reads: of jobs, `/info`, `/resources`, models and responses; 0 is no limit',
    format: 'whole-number',
    min: 0,
    max: manyRequests,
    default: 6000,
  }),
  MAX_JOBS_PER_CALLER: setting({
    doc: 'unfinished jobs that one caller may have, subscriptions under way included; 0 is no limit',
    format: 'whole-number',
    min: 0,
    max: manyRequests,
    default: 1000,
  }),
  CONNECT_TIMEOUT: setting({
    doc: 'seconds that connecting to a node may take',
    format: 'seconds',
    min: shortest,
    max: hour,
    default: 1,
  }),
  PROXY_TIMEOUT: setting({
    doc: "seconds to the first byte of a node's answer (interim answers do not count), and to the end of one that is not streamed",
    format: 'seconds',
    min: shortest,
    max: day,
    default: 300,
  }),
  STREAM_IDLE_TIMEOUT: setting({
    doc: 'seconds between two pieces of a streamed answer',
    format: 'seconds',
    min: shortest,
    max: day,
    default: 300,
  }),
  QUEUE_SIZE: setting({
    doc: 'requests that may wait for a place at a backend, of all callers together; 0: none waits, and all are sent at once',
    format: 'whole-number',
    min: 0,
    max: manyWaiting,
    default: 1000,
  }),
  QUEUE_TIMEOUT: setting({
    doc: 'seconds that a request may wait for a place; then 503',
    format: 'seconds',
    min: shortest,
    max: day,
    default: 60,
  }),
  OUTAGE_WAIT: setting({
    doc: 'seconds that a request may wait where no backend is available, and that one may have been away for it to wait; 0: none',
    format: 'seconds',
    min: 0,
    max: hour,
    default: 8,
  }),
  MAX_BODY: setting({
    doc: 'largest request body (`512kb`, `10mb`, or bytes); larger ones get 413',
    format: 'size',
    min: 1,
    max: gigabyte,
    default: 32 * megabyte,
    defaultText: '32mb',
  }),
  MEMORY_BUDGET: setting({
    doc: 'request bodies and collected answers in memory at once; one caller may hold a quarter of it, so `MAX_BODY` may be at most that',
    format: 'size',
    min: megabyte,
    max: 1024 * gigabyte,
    default: 512 * megabyte,
    defaultText: '512mb',
  }),
  MAX_RESULT: setting({
    doc: 'largest result that is fetched from a node; a job with a larger one ends as `failed` with an error that says so',
    format: 'size',
    min: 1,
    max: 16 * gigabyte,
    default: 256 * megabyte,
    defaultText: '256mb',
  }),
  TRUST_PROXY: setting<false | number | string[]>({
    doc: 'whose `X-Forwarded-For` to believe: a number of proxies, addresses, CIDR ranges, `loopback`, `linklocal` or `uniquelocal`',
    format: 'trust-proxy',
    max: 100,
    default: false,
    defaultText: '',
  }),
  STATE_URL: setting({
    doc: 'where jobs are kept: `memory:`, `sqlite:FILE`, or for several gateways `redis://HOST:PORT/DATABASE` or `rediss://…` (TLS)',
    format: 'state-url',
    default: 'sqlite:data/gateway.db',
    sensitive: true,
  }),
  REPLICA_TIMEOUT: setting({
    doc: 'seconds of silence after which a gateway that shares its jobs with others counts as dead',
    format: 'seconds',
    min: 0.5,
    max: hour,
    default: 10,
  }),
  STATE_MAX_BYTES: setting({
    doc: 'most room for requests and results; the caller who keeps most gives way first; unfinished requests of one may take a quarter',
    format: 'size',
    min: 1,
    max: 1024 * 1024 * gigabyte,
    default: gigabyte,
    defaultText: '1gb',
  }),
  JOB_TTL: setting({
    doc: 'seconds for which a finished job can still be asked for',
    format: 'seconds',
    min: shortest,
    max: 365 * day,
    default: day,
  }),
  JOB_FAILOVER: setting({
    doc: 'whether a job lost with its node is run again elsewhere',
    format: 'true-or-false',
    default: true,
  }),
  JOB_TIMEOUT: setting({
    doc: 'seconds after which a job with no final state and no node to ask is `failed`',
    format: 'seconds',
    min: shortest,
    max: 7 * day,
    default: 900,
  }),
  STATUS_ALLOWED_IPS: setting<string[]>({
    doc: 'who may call `PUT /api/status` and `POST /worker_status/`: comma-separated addresses or CIDR ranges',
    format: 'addresses',
    default: ['127.0.0.1', '::1'],
  }),
  API_KEYS: setting<string[]>({
    doc: 'comma-separated keys; where set, forwarded calls and `/route/` need one',
    format: 'keys',
    default: [],
    sensitive: true,
  }),
  KEYS_FILE: setting({
    doc: 'JSON file of keys with names and limits of their own; needed and counted like `API_KEYS`; reread when it changes',
    format: 'text',
    optional: true,
    default: '',
  }),
  OPS_KEY: setting({
    doc: 'where set, `/stats`, `/services`, `/metrics` and `/dashboard` need it (Bearer, or Basic password), and `/admin` is there',
    format: 'key',
    default: '',
    sensitive: true,
  }),
  TICKET_KEY_FILE: setting({
    doc: 'PEM file of the RSA key that signs tickets; without it the key is made and kept with the jobs',
    format: 'text',
    optional: true,
    default: '',
  }),
  CORS_ORIGINS: setting<string[]>({
    doc: 'comma-separated origins of browser applications that may call the gateway, such as `https://app.example`, or `*`',
    format: 'origins',
    default: [],
  }),
  DRAIN_TIMEOUT: setting({
    doc: 'seconds that running requests have to finish after SIGTERM or SIGINT',
    format: 'seconds',
    min: 0,
    max: day,
    default: 30,
  }),
  LOG_LEVEL: setting<'error' | 'warn' | 'info' | 'debug'>({
    doc: 'least level that is logged: `error`, `warn`, `info` or `debug`',
    format: 'choice',
    choices: ['error', 'warn', 'info', 'debug'],
    default: 'info',
  }),
  LOG_FORMAT: setting<'json' | 'pretty'>({
    doc: '`json` (one object a line) or `pretty` (for people); `pretty` by default on a terminal',
    format: 'choice',
    choices: ['json', 'pretty'],
    default: 'json',
  }),
  ACCESS_LOG: setting<'all' | 'errors' | 'none'>({
    doc: 'which requests have a line in the log: `all`, `errors` or `none`',
    format: 'choice',
    choices: ['all', 'errors', 'none'],
    default: 'errors',
  }),
  ROUTING_HEADERS: setting({
    doc: 'whether answers of backends say in `X-Routing-Reason` why their backend was chosen',
    format: 'true-or-false',
    default: false,
  }),
  HTTPS_PROXY: setting({
    doc: 'proxy through which `https://` backends are reached, such as `http://proxy.example:3128`',
    format: 'proxy-url',
    default: '',
    sensitive: true,
  }),
  HTTP_PROXY: setting({
    doc: 'proxy through which `http://` backends are reached',
    format: 'proxy-url',
    default: '',
    sensitive: true,
  }),
  NO_PROXY: setting<string[]>({
    doc: 'comma-separated backends that are reached directly: names, `.suffix`, addresses, CIDR ranges, `host:port`, or `*`',
    format: 'hosts',
    default: [],
  }),
}

/** The variable that sets a setting: its name in the environment, and in a settings file. */
export type Variable = keyof typeof schema

export const variables = Object.keys(schema) as Variable[]
