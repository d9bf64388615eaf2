import express, { type Express, type Request, type RequestHandler, type Response } from 'express'
import { GatewayFault } from './faults.ts'
import { listJobs, showJob } from './admin/jobPages.ts'
import { drainNode, undrainNode } from './admin/drainPages.ts'
import type { NodeDrains } from './admin/nodeDrains.ts'
import { showUsage, type UsagePageDeps } from './admin/usagePage.ts'
import { recognizeKey, requireAddressOrKey, requireAdminKey, requireKey, requireOpsKey } from './http/auth.ts'
import { beginRequest, refuseLoops, refuseMalformed } from './http/begin.ts'
import { answerIsData, answerIsPage, refuseOtherSites, shareWithOrigins } from './http/browsers.ts'
import { inOrder } from './http/checks.ts'
import type { Drain } from './http/drain.ts'
import { errorHandler } from './http/errors.ts'
import type { MemoryBudget } from './base/memory/budget.ts'
import type { KeyRing } from './http/keys/keyRing.ts'
import { countMemory } from './http/requestMemory.ts'
import { readPriority } from './http/priority.ts'
import type { KeyRules } from './http/keys/keyEntry.ts'
import { withholdOurKeys } from './http/ourKeys.ts'
import { noteOwnPage } from './http/ownPages.ts'
import type { MakeBudgets } from './http/budgets.ts'
import { limitPerCaller, type CallerLimit } from './http/rateLimits.ts'
import { addOpenPath, addPath } from './http/routes.ts'
import { WrongKeys } from './http/wrongKeys.ts'
import { submitBatch } from './jobs/batch.ts'
import type { JobDeps } from './jobs/deps.ts'
import { fleetInfo, fleetResources } from './lookup/fleetInfo.ts'
import type { Follower } from './jobs/follow/follower.ts'
import { readJobs } from './jobs/results.ts'
import { addressList, putStatus } from './jobs/status.ts'
import { streamJob } from './jobs/stream.ts'
import { submitJob } from './jobs/submit.ts'
import {
  lookupAddress,
  lookupAddresses,
  lookupContainers,
  lookupResources,
  type LookupDeps,
} from './lookup/addresses.ts'
import { issueRoute, publicKey, requireRouteKey, type RouteDeps } from './lookup/route.ts'
import { readRouteBody } from './lookup/tickets/routeRequest.ts'
import { takeEndedRequests, takeWorkerStatus } from './lookup/workers/workerStatus.ts'
import { forwardOpenAi, type OpenAiDeps } from './openai/forward.ts'
import { modelPages } from './openai/models.ts'
import { FORWARDED_ROUTES } from './openai/forwardedPaths.ts'
import { readAzurePaths } from './openai/paths.ts'
import { openRealtime } from './openai/realtime.ts'
import { forwardResponse, type ResponsePart } from './openai/responses/byId.ts'

/** Pages for operators and for whatever watches over the process. */
interface Pages {
  /** Always open: load balancers and orchestrators ask them. */
  readonly open: Readonly<Record<string, RequestHandler>>
  /** Behind `OPS_KEY`. */
  readonly guarded: Readonly<Record<string, RequestHandler>>
}

export interface AppDeps {
  readonly jobs: JobDeps
  readonly follower: Follower
  readonly lookup: LookupDeps
  readonly route: RouteDeps
  readonly openai: OpenAiDeps
  readonly pages: Pages
  readonly drain: Drain
  readonly drains: NodeDrains
  readonly usage: UsagePageDeps
  readonly memory: MemoryBudget
  readonly apiKeys: KeyRing
  readonly opsKey: KeyRing
  readonly trustProxy: false | number | readonly string[]
  readonly lookupLimitPerMinute: number
  readonly proxyLimitPerMinute: number
  readonly readLimitPerMinute: number
  /** What holds for a caller's key; undefined where no keys file is set. */
  readonly rulesOf?: ((caller: string) => KeyRules) | undefined
  /** The budgets of callers where gateways share them; each limit has its own in this process where it is not given. */
  readonly makeBudgets?: MakeBudgets | undefined
  readonly statusAllowedIps: readonly string[]
  /** Origins whose pages may call the gateway; `*` is any. */
  readonly corsOrigins: readonly string[]
  readonly onBegun?: ((req: Request) => void) | undefined
  readonly onClosed: (req: Request, res: Response) => void
  readonly onUntrustedForwarding: (peer: string) => void
}

/** All routes, in order. */
export function createApp(deps: AppDeps): Express {
  const { jobs, follower, lookup, pages, drain, memory, makeBudgets } = deps
  const app = express()
  app.disable('x-powered-by').disable('etag')
  app.set('trust proxy', deps.trustProxy)
  const browsers = { corsOrigins: deps.corsOrigins, operatorsPaths: [...Object.keys(pages.guarded), '/admin'] }
  app.use(
    inOrder(
      beginRequest(deps),
      answerIsData,
      refuseMalformed,
      shareWithOrigins(browsers),
      refuseOtherSites(browsers),
      withholdOurKeys([deps.apiKeys, deps.opsKey]),
      readAzurePaths,
    ),
  )

  const { refuseNewWork } = drain
  const noLoop = refuseLoops(jobs.via)
  const wrongKeys = new WrongKeys()
  const withKey = requireKey(deps.apiKeys, wrongKeys)
  const { rulesOf } = deps
  const withPriority = readPriority(rulesOf && ((caller) => rulesOf(caller).priority))
  const proxyLimit = limitPerCaller('PROXY_RATELIMIT_REQS_PER_MIN', {
    perMinute: deps.proxyLimitPerMinute,
    makeBudgets,
    ownRateOf: rulesOf && ((caller: string) => rulesOf(caller).requestsPerMinute),
  })
  const readLimit = limitPerCaller('READ_RATELIMIT_REQS_PER_MIN', { perMinute: deps.readLimitPerMinute, makeBudgets })
  /** What every call at the one base URL goes through. */
  const client = [inOrder(noLoop, withKey), proxyLimit.countRequest]
  /** Reads have a budget of their own: a client that polls often must still be able to submit. */
  const reads = [inOrder(noLoop, withKey), readLimit.countRequest]
  /** A batch counts its items itself. */
  const batchWork = [inOrder(refuseNewWork, noLoop, withKey, withPriority)]
  const work = [...batchWork, proxyLimit.countRequest]

  const submit = drain.toItsEnd(submitJob(jobs))
  addPath(app, '/api/jobs', {
    POST: [...work, countMemory(memory, submit)],
    GET: [...reads, countMemory(memory, readJobs(jobs))],
  })
  const openai = countMemory(memory, forwardOpenAi(deps.openai))
  // Early, for Express compares a request's path with that of one route after the other.
  for (const path of FORWARDED_ROUTES) addPath(app, path, { POST: [...work, openai] })
  addPath(app, '/api/jobs/stream', { POST: [...work, countMemory(memory, streamJob(jobs))] })
  addPath(app, '/api/jobs/batch', {
    POST: [...batchWork, countMemory(memory, drain.toItsEnd(submitBatch(jobs, proxyLimit)))],
  })
  const isStatusAllowed = addressList(deps.statusAllowedIps)
  // It belongs to a job that runs already: it is no new work.
  addPath(app, '/api/status', { PUT: [...client, countMemory(memory, putStatus(jobs, follower, isStatusAllowed))] })
  addPath(app, '/info', { GET: [...reads, fleetInfo(lookup)] })
  addPath(app, '/resources', {
    GET: [...reads, countMemory(memory, fleetResources(lookup))],
  })

  const lookups: Record<string, RequestHandler> = {
    '/api/v1/ips': lookupAddresses(lookup),
    '/api/v1/ip': lookupAddress(lookup),
    '/api/v1/containers': lookupContainers(lookup),
    '/api/v1/resources': lookupResources(lookup),
  }
  const withAnyKey = recognizeKey(deps.apiKeys, wrongKeys)
  const lookupLimit = (name: string): CallerLimit =>
    limitPerCaller('RATELIMIT_REQS_PER_MIN', { perMinute: deps.lookupLimitPerMinute, name, makeBudgets })
  for (const [path, handler] of Object.entries(lookups)) {
    // Each endpoint has a budget of its own.
    const limit = lookupLimit(path)
    addPath(app, path, { GET: [inOrder(refuseNewWork, noLoop, withAnyKey), limit.countRequest, handler] })
  }

  const routeLimit = lookupLimit('/route')
  const readRoute = countMemory(memory, readRouteBody(deps.route))
  const routeKey = requireRouteKey(deps.apiKeys, wrongKeys)
  addPath(app, '/route', {
    POST: [
      inOrder(refuseNewWork, noLoop),
      readRoute,
      inOrder(routeKey),
      routeLimit.countRequest,
      issueRoute(deps.route),
    ],
  })
  const fromWorker = inOrder(noLoop, requireAddressOrKey(isStatusAllowed, deps.opsKey, wrongKeys))
  addPath(app, '/worker_status', { POST: [fromWorker, countMemory(memory, takeWorkerStatus(deps.route))] })
  addPath(app, '/delete_requests', { POST: [fromWorker, countMemory(memory, takeEndedRequests(deps.route))] })
  addPath(app, '/pubkey', { GET: [publicKey(deps.route.keys)] })

  const response = (part: ResponsePart): RequestHandler => countMemory(memory, forwardResponse(deps.openai, part))
  // What has no id there, such as `/v1/responses/compact`, is forwarded by its model.
  addPath(app, '/v1/responses/:id', {
    GET: [...reads, response('')],
    DELETE: [...client, response('')],
    POST: [...work, openai],
  })
  addPath(app, '/v1/responses/:id/input_items', { GET: [...reads, response('/input_items')] })
  addPath(app, '/v1/responses/:id/cancel', { POST: [...client, response('/cancel')] })
  const models = modelPages(deps.openai)
  for (const path of ['/v1/models', '/models']) {
    addPath(app, path, { GET: [...reads, models.list] })
    addPath(app, `${path}/*id`, { GET: [...reads, models.one] })
  }
  addPath(app, '/v1/realtime', { GET: [...work, countMemory(memory, openRealtime(deps.openai))] })
  addOpenPath(app, '/v1/*path', { POST: [...work, openai] })

  addPages(app, pages.open, [])
  addPages(app, pages.guarded, [inOrder(requireOpsKey(deps.opsKey, wrongKeys))])
  const asAdmin = inOrder(requireAdminKey(deps.opsKey, wrongKeys))
  // Whatever is asked for there, but for which methods there are.
  app.use('/admin', (req, res, next) => {
    if (req.method === 'OPTIONS') next()
    else asAdmin(req, res, next)
  })
  addPath(app, '/admin/nodes/:name/drain', { POST: [drainNode(deps.drains)] })
  addPath(app, '/admin/nodes/:name/undrain', { POST: [undrainNode(deps.drains)] })
  addPath(app, '/admin/jobs', { GET: [listJobs(jobs)] })
  addPath(app, '/admin/jobs/:id', { GET: [showJob(jobs)] })
  addPath(app, '/admin/usage', { GET: [showUsage(deps.usage)] })

  app.use((req) => {
    throw new GatewayFault('ERR_NOT_FOUND', `Nothing is at ${req.path.slice(0, 200)}`)
  })
  app.use(errorHandler)
  return app
}

function addPages(
  app: Express,
  pages: Readonly<Record<string, RequestHandler>>,
  before: readonly RequestHandler[],
): void {
  for (const [path, handler] of Object.entries(pages))
    addPath(app, path, { GET: [inOrder(noteOwnPage), ...before, inOrder(answerIsPage), handler] })
}
