import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import convict from 'convict'
import { SettingsError } from './errors.ts'
import { canonicalAddresses, formatSize } from './formats.ts'
import { refuseKeptQuotes } from './quotes.ts'
import { withoutCredentials } from './redact.ts'
import type { Variable } from './schema.ts'
import { schema, variables } from './schema.ts'
import type { Environment } from './sources.ts'
import { readConfigFile, readEnvironment, readStageFile } from './sources.ts'

export { SettingsError } from './errors.ts'
export { settingsHelp, settingsTable } from './table.ts'

/** Everything that can be set, frozen. What each means stands in the schema; units are in the names. */
export interface Settings {
  readonly port: number
  readonly host: string
  readonly reusePort: boolean
  /** At least 1; `auto` is resolved to the number of cores. */
  readonly workers: number
  readonly ipsFile: string
  /** Without trailing slash; empty where there is no explorer. */
  readonly apiUrl: string
  /** Without trailing slash; empty where there is no registry. */
  readonly registryUrl: string
  readonly discoveryAllowPrivate: boolean
  /** Empty where there are no services. */
  readonly servicesFile: string
  readonly refreshIntervalSeconds: number
  readonly lookupLimitPerMinute: number
  readonly proxyLimitPerMinute: number
  readonly readLimitPerMinute: number
  readonly maxJobsPerCaller: number
  readonly connectTimeoutSeconds: number
  readonly proxyTimeoutSeconds: number
  readonly streamIdleTimeoutSeconds: number
  /** `size` is 0 where no request waits for a place. */
  readonly queue: { readonly size: number; readonly timeoutSeconds: number }
  /** 0 where no request waits for a backend that is away. */
  readonly outageWaitSeconds: number
  readonly maxBodyBytes: number
  /** At least four times `maxBodyBytes`. */
  readonly memoryBudgetBytes: number
  readonly maxResultBytes: number
  /** As Express takes it: nobody, a number of hops (at least 1), or addresses, CIDR ranges and Express's named ranges. */
  readonly trustProxy: false | number | readonly string[]
  /** `memory:`, `sqlite:FILE`, `redis://…` or `rediss://…`; may hold a password. */
  readonly stateUrl: string
  readonly replicaTimeoutSeconds: number
  readonly stateMaxBytes: number
  /** Up to a year, which is more than a timer holds. */
  readonly jobTtlSeconds: number
  readonly jobFailover: boolean
  readonly jobTimeoutSeconds: number
  /** Addresses and CIDR ranges; an IPv4-mapped address is written as IPv4. */
  readonly statusAllowedIps: readonly string[]
  /** Empty where no key is needed. */
  readonly apiKeys: readonly string[]
  /** Empty where there is none. */
  readonly keysFile: string
  /** Empty where no key is needed. */
  readonly opsKey: string
  /** Empty where the gateway makes its own key. */
  readonly ticketKeyFile: string
  /** Origins of browser applications; `*` for any. */
  readonly corsOrigins: readonly string[]
  readonly drainTimeoutSeconds: number
  readonly logLevel: 'error' | 'warn' | 'info' | 'debug'
  readonly logFormat: 'json' | 'pretty'
  readonly accessLog: 'all' | 'errors' | 'none'
  readonly routingHeaders: boolean
  /** Empty for none; may hold credentials. */
  readonly httpsProxy: string
  /** Empty for none; may hold credentials. */
  readonly httpProxy: string
  readonly noProxy: readonly string[]
  /** The environment with `.env`, to which files may refer as `${NAME}`. Holds secrets, so it is not enumerable. */
  readonly environment: Environment
  /** Whether some source names `ipsFile`, rather than leaving it at its default. Not enumerable. */
  readonly isIpsFileNamed: boolean
}

/** Where settings are read from. */
export interface SettingsSources {
  environment: Environment
  workingDirectory: string
  /** The folder that holds `config/`. */
  packageRoot: string
  /** Whether standard output is a terminal, which makes `pretty` the default log format. */
  isTerminal: boolean
}

/** This process's own. */
export const processSources = (): SettingsSources => ({
  environment: process.env,
  workingDirectory: process.cwd(),
  packageRoot: fileURLToPath(new URL('../../', import.meta.url)),
  isTerminal: process.stdout.isTTY,
})

/** One caller may hold a quarter of the memory budget, and one request body must fit into that. */
const CALLER_SHARE = 4

type Values = { [V in Variable]: (typeof schema)[V]['default'] }

function createConfig(environment: Record<string, string>): convict.Config<Values> {
  const rows = Object.fromEntries(variables.map((variable) => [variable, { ...schema[variable], env: variable }]))
  return convict(rows as unknown as convict.Schema<Values>, { env: environment, args: [] })
}

/** Convict's `NAME: must be …: value was …` as `NAME must be …, not …`. */
const readable = (line: string) =>
  line
    .replace(/^([A-Z_]+): /, '$1 ')
    .replace(/: value was (.*)$/, (_match, value: string) => `, not ${withoutCredentials(value)}`)

function validate(config: convict.Config<Values>): void {
  try {
    config.validate({ allowed: 'strict' })
  } catch (error) {
    throw new SettingsError((error as Error).message.split('\n').map(readable).join('; '))
  }
  const values = config.getProperties()
  refuseTooLargeBodies(values)
  refuseReusedPort(values)
}

function refuseTooLargeBodies({ MAX_BODY, MEMORY_BUDGET }: Values): void {
  if (MAX_BODY <= MEMORY_BUDGET / CALLER_SHARE) return
  const most = formatSize(Math.floor(MEMORY_BUDGET / CALLER_SHARE))
  throw new SettingsError(
    `MAX_BODY must be at most a quarter of MEMORY_BUDGET (${most}), not ${formatSize(MAX_BODY)}; raise MEMORY_BUDGET to at least ${formatSize(MAX_BODY * CALLER_SHARE)}`,
  )
}

/** Each worker would listen for itself: with PORT=0 each elsewhere, and one that is replaced would refuse connections that wait for it. */
function refuseReusedPort({ WORKERS, REUSE_PORT }: Values): void {
  const workers = workersOf(WORKERS)
  if (REUSE_PORT && workers > 1)
    throw new SettingsError(`REUSE_PORT must be false with several WORKERS (${workers}), which share the port already`)
}

function workersOf(value: Values['WORKERS']): number {
  return value === 'auto' ? availableParallelism() : value
}

const unique = (items: readonly string[]) => [...new Set(items)]

/** Nobody, where no proxy is named or their number is 0. */
function trustedProxies(value: Values['TRUST_PROXY']): Settings['trustProxy'] {
  if (typeof value === 'object') return value.length > 0 && unique(value)
  return value !== 0 && value
}

/** What is known besides the values; not enumerable. */
type Besides = Pick<Settings, 'environment' | 'isIpsFileNamed'>

function toSettings(values: Values): Omit<Settings, keyof Besides> {
  return {
    port: values.PORT,
    host: values.HOST,
    reusePort: values.REUSE_PORT,
    workers: workersOf(values.WORKERS),
    ipsFile: values.IPS_FILE,
    apiUrl: values.API_URL,
    registryUrl: values.REGISTRY_URL,
    discoveryAllowPrivate: values.DISCOVERY_ALLOW_PRIVATE,
    servicesFile: values.SERVICES_FILE,
    refreshIntervalSeconds: values.REFRESH_INTERVAL,
    lookupLimitPerMinute: values.RATELIMIT_REQS_PER_MIN,
    proxyLimitPerMinute: values.PROXY_RATELIMIT_REQS_PER_MIN,
    readLimitPerMinute: values.READ_RATELIMIT_REQS_PER_MIN,
    maxJobsPerCaller: values.MAX_JOBS_PER_CALLER,
    connectTimeoutSeconds: values.CONNECT_TIMEOUT,
    proxyTimeoutSeconds: values.PROXY_TIMEOUT,
    streamIdleTimeoutSeconds: values.STREAM_IDLE_TIMEOUT,
    queue: { size: values.QUEUE_SIZE, timeoutSeconds: values.QUEUE_TIMEOUT },
    outageWaitSeconds: values.OUTAGE_WAIT,
    maxBodyBytes: values.MAX_BODY,
    memoryBudgetBytes: values.MEMORY_BUDGET,
    maxResultBytes: values.MAX_RESULT,
    trustProxy: trustedProxies(values.TRUST_PROXY),
    stateUrl: values.STATE_URL,
    replicaTimeoutSeconds: values.REPLICA_TIMEOUT,
    stateMaxBytes: values.STATE_MAX_BYTES,
    jobTtlSeconds: values.JOB_TTL,
    jobFailover: values.JOB_FAILOVER,
    jobTimeoutSeconds: values.JOB_TIMEOUT,
    statusAllowedIps: canonicalAddresses(values.STATUS_ALLOWED_IPS),
    apiKeys: unique(values.API_KEYS),
    keysFile: values.KEYS_FILE,
    opsKey: values.OPS_KEY,
    ticketKeyFile: values.TICKET_KEY_FILE,
    corsOrigins: unique(values.CORS_ORIGINS),
    drainTimeoutSeconds: values.DRAIN_TIMEOUT,
    logLevel: values.LOG_LEVEL,
    logFormat: values.LOG_FORMAT,
    accessLog: values.ACCESS_LOG,
    routingHeaders: values.ROUTING_HEADERS,
    httpsProxy: values.HTTPS_PROXY,
    httpProxy: values.HTTP_PROXY,
    noProxy: unique(values.NO_PROXY),
  }
}

function frozen(values: Omit<Settings, keyof Besides>, { environment, isIpsFileNamed }: Besides): Settings {
  Object.values(values).forEach(Object.freeze)
  const settings = Object.defineProperties(values, {
    environment: { value: Object.freeze(environment) },
    isIpsFileNamed: { value: isIpsFileNamed },
  })
  return Object.freeze(settings as Settings)
}

/**
 * Reads all sources in rising order: defaults, stage file, `CONFIG_FILE`, environment. Tells `warn` of what is probably a mistake.
 *
 * @throws SettingsError
 */
export function loadSettings(
  sources: SettingsSources = processSources(),
  warn: (line: string) => void = () => {},
): Settings {
  const { workingDirectory, packageRoot } = sources
  refuseKeptQuotes(sources.environment, workingDirectory)
  const environment = readEnvironment(sources.environment, workingDirectory, warn)
  const config = createConfig(environment)
  if (sources.isTerminal) config.load({ LOG_FORMAT: 'pretty' })
  const files = [
    readStageFile([workingDirectory, packageRoot], environment['NODE_ENV'], warn),
    readConfigFile(workingDirectory, environment['CONFIG_FILE']),
  ]
  for (const file of files) config.load(file)
  validate(config)
  const isIpsFileNamed = [environment, ...files].some((source) => Object.hasOwn(source, 'IPS_FILE'))
  return frozen(toSettings(config.getProperties()), { environment, isIpsFileNamed })
}
