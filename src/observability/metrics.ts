import type { Request, RequestHandler, Response } from 'express'
import { EventEmitter } from 'node:events'
import { collectDefaultMetrics, Counter, Gauge, Registry, type Aggregator } from 'prom-client'
import type { Fleet } from '../fleet/fleet.ts'
import type { TrackedNode } from '../fleet/node.ts'
import { contextOf } from '../http/context.ts'
import { sentStatus } from '../http/upgrades.ts'
import type { MemoryBudget, Scope } from '../base/memory/budget.ts'
import type { LiveJobs } from '../jobs/liveJobs.ts'
import type { Served } from '../openai/forward.ts'
import type { GatewayFault } from '../faults.ts'
import { addReplicaGauges } from './replicas.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { addBuildInfo } from './buildInfo.ts'
import { addFileReadings } from './fileReadings.ts'
import { addLedgerGauges, type LedgerSettings } from './ledgerGauges.ts'
import { BoundedLabels, OTHER, shortLabel } from './boundedLabels.ts'
import { addEventLoopDelay, SAMPLE_MS } from './eventLoopDelay.ts'
import { tallyJobs } from './jobTally.ts'
import { KeyTally } from './keyTally.ts'
import { ModelTally } from './modelTally.ts'
import type { WatchedQueue } from './queueStats.ts'
import { QueueTally } from './queueTally.ts'
import { RequestTally } from './requestTally.ts'
import { ServiceTally } from './serviceTally.ts'

/** Nodes with a label value of their own; the others share one, so that a huge fleet stays a bounded number of series. */
const MAX_NODE_LABELS = 200
const MAX_MODEL_LABELS = 200
const KNOWN_METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS'])

export interface MetricsDeps {
  readonly fleet: Fleet
  readonly live: LiveJobs
  readonly memory: MemoryBudget
  readonly ledger: Ledger
  /** Undefined where requests never wait. */
  readonly queue?: WatchedQueue | undefined
  readonly version: string
  readonly settings: LedgerSettings
}

/** What Prometheus sees. Counting a request costs a few map look-ups; what nodes know themselves is read when asked. */
export class Metrics {
  readonly registry = new Registry()
  readonly #requests: RequestTally
  readonly #keys: KeyTally
  readonly #faults: Counter<'code'>
  readonly #models: ModelTally
  readonly #services: ServiceTally
  readonly #modelLabels = new BoundedLabels(MAX_MODEL_LABELS)
  readonly #fleet: Fleet

  /** Told of what OpenAI-compatible services answered. */
  readonly openai = new EventEmitter<{ served: [Served] }>()

  constructor({ fleet, live, memory, ledger, queue, version, settings }: MetricsDeps) {
    const registers = [this.registry]
    // Each sample wakes the process, also where it has nothing to do.
    collectDefaultMetrics({ register: this.registry, eventLoopMonitoringPrecision: SAMPLE_MS })
    addEventLoopDelay(this.registry)
    this.#requests = new RequestTally(this.registry)
    this.#keys = new KeyTally(this.registry)
    this.#faults = new Counter({
      name: 'infernet_gateway_faults_total',
      help: 'Requests that failed, by fault code',
      labelNames: ['code'],
      registers,
    })
    tallyJobs(this.registry, live)
    addReplicaGauges(this.registry, ledger)
    addLedgerGauges(this.registry, ledger, settings)
    addBuildInfo(this.registry, version)
    addFileReadings(this.registry)
    this.#fleet = fleet
    this.#models = new ModelTally(this.registry)
    this.#services = new ServiceTally(this.registry)
    this.openai.on('served', (served) => {
      const model = this.#modelLabels.of(served.model)
      this.#models.count(model, served)
      this.#services.count(model, served)
      if (served.usage) this.#keys.countTokens(served.caller, served.usage)
    })
    this.#addGauges(fleet, live)
    this.#addMemory(memory)
    if (queue) new QueueTally(this.registry, queue)
  }

  /** Counts a request that has ended. */
  observe(req: Request, res: Response): void {
    const context = contextOf(req)
    const route = routeOf(req)
    const method = KNOWN_METHODS.has(req.method) ? req.method : OTHER
    const { fault, tries = 0, batch, model } = context
    const retries = batch?.retries ?? Math.max(0, tries - 1)
    const seconds = (performance.now() - context.startedAt) / 1000
    this.#requests.count({ route, method }, { status: sentStatus(req, res), seconds, tries, retries })
    if (fault) this.#faults.inc({ code: fault.code })
    this.#keys.countRequest(context.caller)
    if (model !== undefined && hasFailed(fault, res.statusCode)) this.#models.countFailure(this.#labelOf(model))
  }

  /** A name that a client may have made up, and that no service lists, has no label of its own. */
  #labelOf(model: string): string {
    for (const { models } of this.#fleet.nodes.values()) if (models.has(model)) return this.#modelLabels.of(model)
    return OTHER
  }

  /** `GET /metrics`; `textOfAll` gives those of all workers, where this process is one of several. */
  page(textOfAll = (): Promise<string> => this.registry.metrics()): RequestHandler {
    return async (_req, res) => {
      const text = await textOfAll()
      res.setHeader('Content-Type', this.registry.contentType)
      res.end(text)
    }
  }

  #addMemory(memory: MemoryBudget): void {
    const registers = [this.registry]
    new Gauge({
      name: 'infernet_gateway_memory_bytes',
      help: "Request bodies and collected answers in memory: of callers, and of calls of the gateway's own",
      labelNames: ['account'],
      registers,
      collect(): void {
        this.set({ account: 'callers' }, memory.usedBytes)
        this.set({ account: 'own' }, memory.ownBytes)
      },
    })
    new Gauge({
      name: 'infernet_gateway_memory_budget_bytes',
      help: 'MEMORY_BUDGET: what callers may hold in memory in all',
      registers,
    }).set(memory.totalBytes)
    new Counter({
      name: 'infernet_gateway_memory_refusals_total',
      help: 'Bodies and answers without room, by what was used up: the share of a caller, the budget, or the bound of own calls',
      labelNames: ['scope'],
      registers,
      collect(): void {
        this.reset()
        for (const scope of Object.keys(memory.refusals) as Scope[]) this.inc({ scope }, memory.refusals[scope])
      },
    })
  }

  #addGauges(fleet: Fleet, live: LiveJobs): void {
    const registers = [this.registry]
    // Each worker sees the same nodes: what it did there adds up, what it believes of them does not.
    const perNode = (
      name: string,
      help: string,
      valueOf: (node: TrackedNode) => number,
      aggregator: Aggregator = 'sum',
    ): void => {
      // Prometheus takes what ends so for a counter.
      const Kind = name.endsWith('_total') ? Counter : Gauge
      new Kind({
        name,
        help,
        labelNames: ['node'],
        aggregator,
        registers,
        collect(): void {
          this.reset()
          let labels = 0
          let others = 0
          for (const node of fleet.nodes.values()) {
            if (labels++ < MAX_NODE_LABELS) this.inc({ node: shortLabel(node.name) }, valueOf(node))
            else others += valueOf(node)
          }
          if (labels > MAX_NODE_LABELS) this.inc({ node: OTHER }, others)
        },
      })
    }
    const now = fleet.now
    const ejections = new WeakMap<TrackedNode, number>()
    fleet.on('node:ejected', (node) => ejections.set(node, (ejections.get(node) ?? 0) + 1))
    perNode(
      'infernet_gateway_node_healthy',
      '1 where the node is healthy',
      (node) => (node.isHealthy(now()) ? 1 : 0),
      'max',
    )
    perNode('infernet_gateway_node_in_flight', 'Requests open at the node', (node) => node.inFlight)
    perNode('infernet_gateway_node_pending', 'Pending jobs by the last poll', (node) => node.pending, 'max')
    perNode('infernet_gateway_node_load', 'Jobs thought to be on the node', (node) => node.load.load(now()), 'max')
    perNode(
      'infernet_gateway_node_service_seconds',
      'Learnt time of service of a job',
      (node) => node.load.serviceSeconds(now()),
      'average',
    )
    perNode('infernet_gateway_node_requests_total', 'Requests sent to the node', (node) => node.counts.requests)
    perNode('infernet_gateway_node_errors_total', 'Requests that failed at the node', (node) => node.counts.errors)
    perNode(
      'infernet_gateway_node_set_asides_total',
      'Times that the node was set aside for a kind of work, because it answered that worse than its siblings',
      (node) => node.counts.setAsides,
    )
    perNode(
      'infernet_gateway_node_ejections_total',
      'Times that the node was ejected for a while, because its requests kept failing',
      (node) => ejections.get(node) ?? 0,
    )
    new Gauge({
      name: 'infernet_gateway_jobs_unfinished',
      help: 'Jobs without a final state',
      registers,
      collect(): void {
        this.set(live.size)
      },
    })
  }
}

/** Whether the gateway or a service is to blame, and not the client. */
function hasFailed(fault: GatewayFault | undefined, status: number): boolean {
  return fault ? fault.fault.source !== 'client' : status >= 500
}

/** The registered path, never the client's text, so that nobody can make up label values. */
export function routeOf(req: Request): string {
  const path: unknown = (req.route as { path?: unknown } | undefined)?.path
  if (Array.isArray(path)) return String(path[0])
  return typeof path === 'string' ? path : 'unknown'
}
