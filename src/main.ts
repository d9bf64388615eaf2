import type { AddressInfo } from 'node:net'
import { NodeDrains } from './admin/nodeDrains.ts'
import { createApp } from './app.ts'
import type { Settings } from './config/settings.ts'
import { putIntoProcess } from './config/sources.ts'
import { Fleet } from './fleet/fleet.ts'
import { ForwardProxies } from './fleet/forwardProxies.ts'
import { LearntKeeper } from './fleet/learnt/keeper.ts'
import type { PolicyConstants } from './fleet/load/constants.ts'
import type { SelectNode } from './dispatch/policies/candidate.ts'
import { Dispatcher } from './dispatch/dispatcher.ts'
import { Selector, type SelectorOptions } from './dispatch/selector.ts'
import { sourcesOf } from './fleet/sources/sources.ts'
import { WatchedFile } from './fleet/sources/watchedFile.ts'
import { READY_WAIT_SECONDS, waitUntilReady } from './fleet/whenReady.ts'
import { Drain } from './http/drain.ts'
import { BadLines } from './base/badLines.ts'
import { KeyRing } from './http/keys/keyRing.ts'
import { KeysFile } from './http/keys/keysFile.ts'
import type { KeptTexts } from './base/keptTexts.ts'
import { createIdentity } from './base/identity.ts'
import { MemoryBudget } from './base/memory/budget.ts'
import { closeForNew, listen } from './http/listening.ts'
import { createHttpServer } from './http/server.ts'
import { jobsBound } from './jobs/admission/index.ts'
import { Askers } from './jobs/askers.ts'
import { Failover } from './jobs/follow/failover.ts'
import { Follower } from './jobs/follow/follower.ts'
import { Idempotency } from './jobs/idempotency.ts'
import type { Ledger } from './ledger/ledger.ts'
import { UsageCollector } from './ledger/usage/collector.ts'
import { packageVersion } from './base/packageVersion.ts'
import { parseStateUrl } from './base/stateUrl.ts'
import { LiveJobs } from './jobs/liveJobs.ts'
import { StatesByHand } from './jobs/statesByHand.ts'
import { NodeAsks } from './jobs/takeover/nodeAsks.ts'
import { Takeover } from './jobs/takeover/takeover.ts'
import type { LookupDeps } from './lookup/addresses.ts'
import { RequestIndexes } from './lookup/tickets/requestIndexes.ts'
import { SharedReports } from './lookup/workers/sharedReports.ts'
import { apiDescriptionPage, describeApi } from './openapi/index.ts'
import { dashboardPage } from './dashboard/index.ts'
import { Activity } from './observability/activity/activity.ts'
import { addBadLineGauge } from './observability/badLines.ts'
import { docsFile, docsPage, homePage } from './welcome/index.ts'
import { addDrainGauge } from './observability/drainGauge.ts'
import { logFleet, logJobs } from './observability/lifeLog.ts'
import type { Logger } from './observability/logger.ts'
import { Metrics } from './observability/metrics.ts'
import { healthPage, livePage, readyPage } from './observability/health.ts'
import { plainStats, servicesPage, statsPage, type WatchDeps } from './observability/pages.ts'
import { requestLog } from './observability/requestLog.ts'
import { addUsageTally } from './observability/usageTally.ts'
import { startTraces, type Traces } from './observability/traces/index.ts'
import { budgetsOver } from './replicas/sharedBudgets.ts'
import { ResponseHomes } from './openai/responses/homes.ts'
import { isRealtimeUpgrade } from './openai/realtime.ts'
import { Spending } from './openai/spending.ts'
import { Forwarder } from './upstream/forwarder.ts'
import { Upstream } from './upstream/send.ts'
import { Resources } from './lookup/resources.ts'
import { Walks } from './lookup/pages.ts'
import { openOwnLedger, openTicketKeysOf } from './state.ts'
import { Transport } from './upstream/transport.ts'

/** Seconds between two looks at a node's unfinished jobs. */
const FOLLOW_PERIOD_SECONDS = 1
/** How often connections to nodes that are gone are let go, ms. */
const POOL_CARE_MS = 60_000

/** What benchmarks and tests may set otherwise; not for operators. */
export interface Overrides {
  readonly policy?: SelectNode
  readonly constants?: PolicyConstants
  readonly warmCaches?: SelectorOptions['warmCaches']
  readonly followPeriodSeconds?: number
  readonly nodeRecordSeconds?: number
  /** After how long a list of backends that lost most of its entries is believed. */
  readonly believeAfterMs?: number
  /** The ledger, where it is open already. The gateway closes it. */
  readonly ledger?: Ledger
  /** Where this is one of several workers. */
  readonly workplace?: Workplace
}

/** What all workers of a machine report together; `usage`: they write what they have counted. */
export type Subject = 'metrics' | 'stats' | 'usage'

/** What a gateway has from the primary whose worker it is. */
export interface Workplace {
  /** The entry in `Via` of all workers. */
  readonly via: string
  /** Whether others serve already: then it listens when it knows its backends. */
  readonly isReplacement: boolean
  readonly kept: KeptTexts
  /** What all workers report, summed. */
  sum(subject: Subject): Promise<unknown>
}

/** A gateway that serves. */
export interface Gateway {
  readonly port: number
  readonly fleet: Fleet
  /** What this process alone has to tell, as plain values. */
  report(subject: Subject): Promise<unknown>
  /** Rereads all files. */
  reread(): void
  /** Takes no new connections and ends with the last request on those that are open. */
  retire(): Promise<void>
  /** Lets running requests finish, at most as long as set, then ends everything. */
  stop(): Promise<void>
}

/** Wires everything together and listens. */
export async function start(settings: Settings, logger: Logger, overrides: Overrides = {}): Promise<Gateway> {
  const ledger = overrides.ledger ?? (await openOwnLedger(settings, logger))
  try {
    const store = parseStateUrl(settings.stateUrl).kind
    const { environment } = settings
    const prepare = (): void => putIntoProcess(environment, 'OTEL_')
    const traces = await startTraces(environment, { version: packageVersion(), store, logger, prepare })
    return await startWith(traces?.ledger(ledger) ?? ledger, settings, logger, overrides, traces)
  } catch (error) {
    await ledger.close()
    throw error
  }
}

async function startWith(
  ledger: Ledger,
  settings: Settings,
  logger: Logger,
  overrides: Overrides,
  traces: Traces | undefined,
): Promise<Gateway> {
  const { workplace } = overrides
  const identity = createIdentity(workplace?.via)
  const { via } = identity
  const memory = new MemoryBudget(settings.memoryBudgetBytes)
  const proxies = new ForwardProxies(settings)
  const badLines = new BadLines()
  const kept = workplace?.kept
  const fleet = new Fleet({
    sources: sourcesOf(settings, { logger, proxies, badLines, believeAfterMs: overrides.believeAfterMs, kept }),
    refreshIntervalSeconds: settings.refreshIntervalSeconds,
    identity,
    memory,
    proxies,
    ...(overrides.constants && { constants: overrides.constants }),
  })
  const learnt = new LearntKeeper({ fleet, values: ledger.values, isShared: ledger.shared !== undefined })
  await learnt.load()
  const selector = new Selector(fleet, overrides.policy, { ...overrides, siblings: () => settings.workers - 1 })
  const transport = new Transport({
    connectTimeoutSeconds: settings.connectTimeoutSeconds,
    answerTimeoutSeconds: settings.proxyTimeoutSeconds,
    idleTimeoutSeconds: settings.streamIdleTimeoutSeconds,
    proxies,
  })
  const keysFile =
    settings.keysFile === '' ? undefined : new KeysFile(new WatchedFile(settings.keysFile), logger, { badLines, kept })
  const dispatcher = new Dispatcher(fleet, selector, {
    tellsReasons: settings.routingHeaders,
    outageWaitSeconds: settings.outageWaitSeconds,
    queue: { ...settings.queue, weightOf: (caller) => keysFile?.rulesOf(caller).weight ?? 1 },
  })
  const upstream = new Upstream(dispatcher, transport)
  const jobsOf = jobsBound(settings.maxJobsPerCaller, (caller) => keysFile?.rulesOf(caller).maxJobs)
  const limits = { jobsOf, maxBytes: settings.stateMaxBytes }
  const live = new LiveJobs(ledger, dispatcher, limits)
  const askers = new Askers(live, ledger.shared)
  const asks = new NodeAsks({ fleet, transport, memory, identity })
  const byHand = new StatesByHand(ledger)
  const jobParts = { live, ledger, askers, asks, byHand, dispatcher }
  const common = { ...jobParts, fleet, selector, upstream, transport, memory, identity, via, logger }
  const failover = new Failover({
    ...common,
    isEnabled: settings.jobFailover,
    jobTimeoutSeconds: settings.jobTimeoutSeconds,
    ...(overrides.nodeRecordSeconds !== undefined && { nodeRecordSeconds: overrides.nodeRecordSeconds }),
  })
  const follower = new Follower({
    ...common,
    failover,
    // What does not fit into the ledger would be removed as soon as it is there.
    maxResultBytes: Math.min(settings.maxResultBytes, settings.stateMaxBytes),
    maxResultSetting: settings.maxResultBytes <= settings.stateMaxBytes ? 'MAX_RESULT' : 'STATE_MAX_BYTES',
    periodSeconds: overrides.followPeriodSeconds ?? FOLLOW_PERIOD_SECONDS,
  })
  const { replicaTimeoutSeconds, jobTimeoutSeconds } = settings
  const { shared } = ledger
  const takeover = shared && new Takeover({ ...common, shared, failover, replicaTimeoutSeconds, jobTimeoutSeconds })
  const drain = new Drain()
  const logRequest = requestLog(logger, settings.accessLog)
  const { queue } = dispatcher
  const metrics = new Metrics({ fleet, live, memory, ledger, queue, version: packageVersion(), settings })
  if (traces) metrics.openai.on('served', (served) => traces.served(served))
  const usage = new UsageCollector({ store: ledger.usage, logger })
  metrics.openai.on('served', (served) => usage.count(served.caller, served.model, served.usage))
  addUsageTally(metrics.registry, metrics.openai)
  addBadLineGauge(metrics.registry, badLines)
  // Not before somebody listens to how it can be read.
  await keysFile?.start()
  const drains = new NodeDrains({ fleet, ledger, logger })
  addDrainGauge(metrics.registry, drains)
  const activity = new Activity()
  activity.listen(live, metrics.openai)
  logFleet(fleet, logger)
  logJobs(live, logger)

  const whenReady = (): Promise<void> => waitUntilReady(fleet)
  const lookup: LookupDeps = {
    fleet,
    selector,
    resources: new Resources(transport, memory, identity, fleet.now),
    walks: new Walks(ledger, fleet.now),
    whenReady,
  }
  const forwarder = new Forwarder(upstream)
  const keys = await openTicketKeysOf(settings, ledger, logger)
  const { maxBodyBytes, trustProxy, statusAllowedIps, corsOrigins } = settings
  const reports = new SharedReports(fleet, ledger)
  const watch: WatchDeps = {
    ...{ fleet, drain, drains, ledger, live, memory, activity, queue, badLines },
    version: packageVersion(),
  }
  const statsOfAll = workplace && (() => workplace.sum('stats') as Promise<Record<string, unknown>>)
  const makeBudgets = ledger.shared && budgetsOver(ledger.shared.coordination.budgets)
  const app = createApp({
    jobs: { ...common, forwarder, idempotency: new Idempotency(ledger), maxBodyBytes, whenReady },
    follower,
    lookup,
    route: { ...lookup, maxBodyBytes, keys, ledger, reports, drain, indexes: new RequestIndexes(ledger, fleet.now) },
    openai: {
      fleet,
      selector,
      forwarder,
      maxBodyBytes,
      via,
      whenReady,
      events: metrics.openai,
      homes: new ResponseHomes({ now: fleet.now, values: ledger.shared?.coordination.values }),
      spending: keysFile && new Spending({ rateOf: (caller) => keysFile.rulesOf(caller).tokensPerMinute, makeBudgets }),
    },
    pages: {
      open: {
        '/': homePage(),
        '/docs': docsPage(),
        '/docs/:file': docsFile(),
        '/health': healthPage(watch),
        '/status': healthPage(watch),
        '/livez': livePage,
        '/readyz': readyPage(watch),
        '/openapi.json': apiDescriptionPage(describeApi(watch.version)),
      },
      guarded: {
        '/services': servicesPage(watch, statsOfAll),
        '/stats': statsPage(watch, statsOfAll),
        '/metrics': metrics.page(workplace && (() => workplace.sum('metrics') as Promise<string>)),
        '/dashboard': dashboardPage(),
      },
    },
    drain,
    drains,
    usage: { store: ledger.usage, collector: usage, flushWorkers: workplace && (() => workplace.sum('usage')) },
    memory,
    apiKeys: new KeyRing(settings.apiKeys, keysFile),
    rulesOf: keysFile && ((caller) => keysFile.rulesOf(caller)),
    opsKey: new KeyRing(settings.opsKey === '' ? [] : [settings.opsKey]),
    ...{ makeBudgets, trustProxy, statusAllowedIps, corsOrigins },
    lookupLimitPerMinute: settings.lookupLimitPerMinute,
    proxyLimitPerMinute: settings.proxyLimitPerMinute,
    readLimitPerMinute: settings.readLimitPerMinute,
    onBegun: traces && ((req) => traces.begun(req)),
    onClosed: (req, res) => {
      metrics.observe(req, res)
      activity.observe(req, res)
      logRequest(req, res)
      traces?.ended(req, res)
    },
    onUntrustedForwarding: (peer) =>
      logger.warn('X-Forwarded-For of an untrusted peer is ignored; if it is your proxy, name it in TRUST_PROXY', {
        peer,
      }),
  })

  const server = createHttpServer(app, { isUpgrade: isRealtimeUpgrade })
  if (takeover) takeover.start()
  else await live.restore().then((jobs) => jobs > 0 && logger.info('unfinished jobs taken up', { jobs }))
  await drains.start()
  if (workplace?.isReplacement) {
    void fleet.start()
    await fleet.whenReady(READY_WAIT_SECONDS)
  }
  await listen(server, settings)
  const { port } = server.address() as AddressInfo
  // Of several workers the primary tells where they listen, once.
  if (!workplace) logger.info('listening', { host: settings.host, port })
  if (!workplace?.isReplacement) void fleet.start()
  learnt.start()
  usage.start()
  const poolCare = setInterval(() => transport.keepOnly(fleet.origins()), POOL_CARE_MS).unref()

  const stop = async (): Promise<void> => {
    // Whoever waits has an answer at once.
    askers.close()
    const endsAt = fleet.now() + settings.drainTimeoutSeconds
    void takeover?.leave()
    await drain.begin(settings.drainTimeoutSeconds)
    // Its own jobs are followed until the other gateways have them, or they have ended.
    await takeover?.untilHandedOver(Math.max(0, endsAt - fleet.now()))
    takeover?.stop()
    await upstream.stopWaiting()
    forwarder.close()
    server.close()
    server.closeAllConnections()
    clearInterval(poolCare)
    follower.stop()
    await learnt.stop()
    reports.stop()
    drains.stop()
    fleet.stop()
    keysFile?.stop()
    keys.close()
    await transport.close()
    await usage.stop()
    await ledger.close()
    await traces?.stop(Math.max(0, endsAt - fleet.now()))
  }
  return {
    port,
    fleet,
    report: (subject) => {
      // What cannot be written is tried again, and the worker that was asked finds the same.
      if (subject === 'usage') return usage.flush().catch(() => {})
      return subject === 'metrics' ? metrics.registry.getMetricsAsJSON() : plainStats(watch)
    },
    reread: () => {
      fleet.reread()
      keysFile?.reread()
    },
    retire: async () => {
      // The others may have its jobs at once.
      void takeover?.leave()
      await closeForNew(server)
      await stop()
    },
    stop,
  }
}
