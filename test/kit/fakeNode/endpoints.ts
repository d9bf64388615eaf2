/** The node's rules: what it answers to each request. Knows nothing of sockets. */
import { json, htmlError, notFound, options, tooManyRequests, wrongMethod } from './answers.ts'
import type { Answer } from './answers.ts'
import { asciiJson } from './jsonText.ts'
import { JobStore } from './jobs.ts'
import type { Container, Endpoint, Settings } from './options.ts'
import { RateLimiter } from './rateLimit.ts'
import type { Verdict } from './rateLimit.ts'
import { Guardian, isWithin, PythonError, readBatch, readBody, readSubmission, UNWRITABLE } from './submission.ts'
import type { JobSubmission, Refusal, Submission, SubscriptionSubmission } from './submission.ts'
import { Work } from './work.ts'
import type { WorkEvents } from './work.ts'

/** A request as the rules see it. */
export interface Incoming {
  method: string
  /** Without the query; double slashes made single. */
  path: string
  query: string
  /** The TCP peer. */
  ip: string
  forwardedFor: string | undefined
  contentType: string | undefined
  body: Buffer
}

export interface RuleEvents extends WorkEvents {
  subscribed: (submission: SubscriptionSubmission) => void
}

const ROUTES: Record<string, Partial<Record<string, Endpoint>>> = {
  '/health': { GET: 'health' },
  '/info': { GET: 'info' },
  '/resources': { GET: 'resources' },
  '/api/jobs': { GET: 'jobs', POST: 'submit' },
  '/api/jobs/batch': { POST: 'batch' },
  '/api/jobs/stream': { POST: 'stream' },
  '/api/status': { PUT: 'status' },
}

/** Who may set a job's status: loopback, Docker's usual networks, home networks. */
const TRUSTED = ['127.0.0.1', '::1', '172.17.0.0/16', '172.18.0.0/16', '172.19.0.0/16', '192.168.0.0/16']

const INTERNAL_ERROR = htmlError(
  500,
  'Internal Server Error',
  'The server encountered an internal error and was unable to complete your request. ' +
    'Either the server is overloaded or there is an error in the application.',
)
const TOO_LARGE = '413 Request Entity Too Large: The data value transmitted exceeds the capacity limit.'
const SUBMITTING = new Set<Endpoint | undefined>(['submit', 'batch', 'stream'])

/** Which endpoint a request asks for; `undefined` where the answer is 404, 405 or OPTIONS. */
export function endpointOf(method: string, path: string): Endpoint | undefined {
  return ROUTES[path]?.[method === 'HEAD' ? 'GET' : method]
}

export class Rules {
  readonly store: JobStore
  readonly work: Work
  readonly #settings: Settings
  readonly #events: RuleEvents
  readonly #limiter = new RateLimiter()
  readonly #guardian: Guardian
  /** What `/info` says of on-chain jobs, and, where given, instead of the truth of off-chain ones. */
  shownPending: { offchain?: number; onchain?: number } = {}
  /** The store cannot be reached: jobs are taken and lost, reading fails. */
  isStoreDown = false

  constructor(settings: Settings, events: RuleEvents) {
    this.#settings = settings
    this.#events = events
    this.store = new JobStore(() => settings.pendingTtl * 1000, settings.keepFinished, settings.finishedFile)
    this.work = new Work(settings, this.store, events)
    this.#guardian = new Guardian(
      () => settings.containers,
      () => settings.chain,
    )
  }

  /** Counts the request against its caller's budget. */
  verdict(endpoint: Endpoint | undefined, incoming: Incoming): Verdict | undefined {
    const { forwardedFor, method, path, ip } = incoming
    // OPTIONS draws on the budget of the route's first method.
    const budget = endpoint ?? (method === 'OPTIONS' ? Object.values(ROUTES[path] ?? {})[0] : undefined)
    if (!budget || budget === 'status' || forwardedFor === '') return undefined
    const { rateLimit } = this.#settings
    const limit = typeof rateLimit === 'number' ? rateLimit : (rateLimit[budget] ?? 60)
    if (limit <= 0) return undefined
    const caller = forwardedFor?.split(',')[0]?.trim() ?? ip
    return this.#limiter.take(`${budget} ${caller}`, limit, performance.now())
  }

  resetLimits(): void {
    this.#limiter.clear()
  }

  /** The answer; for an accepted stream, the job that is to be streamed. */
  answer(endpoint: Endpoint | undefined, incoming: Incoming, verdict: Verdict | undefined): Answer | JobSubmission {
    if (!endpoint) return unrouted(incoming)
    // The real limiter fails on an empty header.
    if (incoming.forwardedFor === '') return INTERNAL_ERROR
    if (verdict?.retryAfter !== undefined) return tooManyRequests(verdict.retryAfter)
    if (this.isStoreDown) {
      if (endpoint === 'info' || endpoint === 'jobs') return INTERNAL_ERROR
      if (endpoint === 'status') return json(500, '{"error":"Could not store job status"}')
    }
    try {
      return this.#handlers[endpoint](incoming)
    } catch (error) {
      if (!(error instanceof PythonError)) throw error
      return json(500, `{"error":${asciiJson(`${errorPrefix(endpoint)} ${error.message}`)}}`)
    } finally {
      if (this.isStoreDown && SUBMITTING.has(endpoint)) this.forgetPending()
    }
  }

  /** As a restart does: what ran is gone. */
  forgetPending(): void {
    this.work.stopAll()
    this.store.forgetPending()
  }

  readonly #handlers: Record<Endpoint, (incoming: Incoming) => Answer | JobSubmission> = {
    health: () => json(200, '{"status":"healthy"}'),
    info: () => json(200, this.#info()),
    resources: ({ query }) => json(200, this.#resources(new URLSearchParams(query).get('model_id'))),
    submit: (incoming) => {
      const submission = readSubmission(jsonBody(incoming, this.#settings.maxBody), incoming.ip)
      const refusal = this.#guardian.refuses(submission)
      return refusal ? refused(refusal) : json(200, this.#start(submission))
    },
    batch: (incoming) => this.#batch(incoming),
    stream: (incoming) => {
      const submission = readSubmission(jsonBody(incoming, this.#settings.maxBody), incoming.ip)
      const refusal = this.#guardian.refuses(submission)
      if (refusal) return refused(refusal)
      if (submission.kind === 'job') return submission
      return json(405, '{"error":"Streaming only supported for OffchainJob requests."}')
    },
    jobs: (incoming) => json(200, this.#jobs(incoming)),
    status: (incoming) => this.#setStatus(incoming),
  }

  #info(): string {
    const { chain, walletAddress, containers, version } = this.#settings
    const pending = { offchain: this.store.pendingCount, onchain: 0, ...this.shownPending }
    // Members in alphabetical order, as Quart writes them.
    return asciiJson({
      chain: { address: walletAddress, enabled: chain },
      containers: containers
        .filter(({ running }) => running)
        .map(({ description, external, id, image }) => ({ description, external, id, image })),
      pending: { offchain: pending.offchain, onchain: pending.onchain },
      version,
    })
  }

  #resources(model: string | null): string {
    const alive = this.#settings.containers.filter(({ dead }) => !dead)
    const entries = alive.map((container): [string, unknown] => [
      container.id,
      model ? { supported: container.models.includes(model) } : hardwareAndModels(container),
    ])
    return asciiJson(Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1))))
  }

  #batch(incoming: Incoming): Answer {
    refuseTooLarge(incoming.body, this.#settings.maxBody)
    const { text, value } = readBody(incoming.body)
    if (!Array.isArray(value)) return json(400, '{"error":"Expected a list"}')
    const submissions = readBatch(text, value, incoming.ip)
    const refusals = submissions.map((submission) => this.#guardian.refuses(submission))
    const answers = submissions.map((submission, i) => {
      const refusal = refusals[i]
      return refusal ? refusalText(refusal) : this.#start(submission)
    })
    // Only now, with the others started, does the real one find that it cannot write this refusal.
    if (refusals.some((refusal) => refusal?.isWritable === false)) throw new PythonError(UNWRITABLE)
    return json(200, `[${answers.join(',')}]`)
  }

  #start(submission: Submission): string {
    if (submission.kind === 'subscription') {
      this.#events.subscribed(submission)
      return '{}'
    }
    this.work.runJob(submission)
    return `{"id":${asciiJson(submission.id)}}`
  }

  #jobs({ ip, query }: Incoming): string {
    const params = new URLSearchParams(query)
    const ids = params.getAll('id')
    if (ids.length > 0) return this.store.describe(ip, ids, params.get('intermediate') === 'true')
    const pending = params.get('pending')
    return asciiJson(this.store.list(ip, pending === 'true' ? true : pending === 'false' ? false : undefined))
  }

  #setStatus({ ip, body }: Incoming): Answer {
    if (!isWithin(TRUSTED, ip)) return json(403, '{"error":"Unauthorized"}')
    const failure = json(500, '{"error":"Could not store job status"}')
    const { id, status, containers } = membersOf(body)
    const isNamed = Array.isArray(containers) && containers.every((name) => typeof name === 'string')
    if (typeof id !== 'string' || !isNamed || status === undefined) return failure
    if (status === 'running') this.store.setRunning(ip, id)
    else if (status === 'success' || status === 'failed') {
      this.store.setFinished({ id, ip, status, result: 'null', intermediate: [] })
    } else return json(400, '{"error":"Status is invalid"}')
    return json(200, 'null')
  }
}

function unrouted({ method, path }: Incoming): Answer {
  const routes = ROUTES[path]
  if (!routes) return notFound()
  const allowed = Object.keys(routes).flatMap((name) => (name === 'GET' ? ['GET', 'HEAD'] : [name]))
  const allow = [...allowed, 'OPTIONS'].join(', ')
  return method === 'OPTIONS' ? options(allow) : wrongMethod(allow)
}

/** Without a JSON content type Quart reads nothing at all. */
function jsonBody({ body, contentType }: Incoming, maxBody: number): Buffer {
  const type = contentType?.split(';')[0]?.trim().toLowerCase() ?? ''
  if (type !== 'application/json' && !/^application\/.*\+json$/.test(type)) {
    throw new PythonError("'NoneType' object is not a mapping")
  }
  refuseTooLarge(body, maxBody)
  return body
}

function membersOf(body: Buffer): Record<string, unknown> {
  try {
    return Object.fromEntries(Object.entries(readBody(body).value ?? {}))
  } catch (error) {
    if (error instanceof PythonError) return {}
    throw error
  }
}

function refuseTooLarge(body: Buffer, maxBody: number): void {
  if (body.length > maxBody) throw new PythonError(TOO_LARGE)
}

function errorPrefix(endpoint: Endpoint): string {
  // The two blanks in a batch's error are the real node's own.
  return endpoint === 'batch' ? 'Could not enqueue job: ' : 'Internal server error:'
}

function refused(refusal: Refusal): Answer {
  if (!refusal.isWritable) throw new PythonError(UNWRITABLE)
  return json(405, refusalText(refusal))
}

function refusalText({ error, params }: Refusal): string {
  return asciiJson({ error, params })
}

function hardwareAndModels({ id, models }: Container): object {
  return {
    compute_capability: [{ id: 'ml', models: models.map((model) => ({ id: model, repo_id: model })) }],
    hardware: [{ capability_id: 'base', cpu_info: { model: id } }],
  }
}
