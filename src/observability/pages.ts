import type { RequestHandler } from 'express'
import { urlOf } from '../fleet/address.ts'
import type { Fleet } from '../fleet/fleet.ts'
import type { WorkKind } from '../fleet/load/kinds.ts'
import type { TrackedNode } from '../fleet/node.ts'
import type { NodeDrains } from '../admin/nodeDrains.ts'
import type { Drain } from '../http/drain.ts'
import { listParts, objectParts, Parts, sendJson } from '../http/sendJson.ts'
import type { BadLines } from '../base/badLines.ts'
import type { MemoryBudget } from '../base/memory/budget.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { LiveJobs } from '../jobs/liveJobs.ts'
import type { Activity, RawWork } from './activity/activity.ts'
import { cacheColumnsByService, toldWork } from './activity/report.ts'
import { conditionsOf, conflictsByNode, type Surroundings } from './conditions.ts'
import { boundedQueue, toldQueue, type ToldQueue, type WatchedQueue } from './queueStats.ts'
import { replicaStats } from './replicas.ts'
import { SEVERAL_NODES, SEVERAL_NODES_ADVICE } from './lifeLog.ts'

/** Kinds of work that `/stats` shows, of the fleet and of each backend. */
const MOST_KINDS = 50
const MOST_KINDS_OF_NODE = 10

export interface WatchDeps {
  readonly fleet: Fleet
  readonly drain: Drain
  readonly drains: NodeDrains
  readonly ledger: Ledger
  readonly live: LiveJobs
  readonly memory: MemoryBudget
  readonly activity: Activity
  /** Undefined where requests never wait. */
  readonly queue?: WatchedQueue | undefined
  readonly badLines: BadLines
  readonly version: string
}

/** What `/stats` tells of all workers of this gateway, where it has several. */
type StatsOfAll = () => Promise<Record<string, unknown>>

/** `GET /services`: who is behind the gateway. What was counted is that of all workers. */
export function servicesPage({ fleet }: WatchDeps, ofAll?: StatsOfAll): RequestHandler {
  return async (_req, res) => {
    const counted = (await ofAll?.())?.['services'] as (Counted & { name: string })[] | undefined
    const countsOf = new Map(counted?.map((service) => [service.name, service]))
    const now = fleet.now()
    const nodes = [...fleet.nodes.values()]
    const entryOf = (node: TrackedNode): string =>
      JSON.stringify(serviceEntry(node, countsOf.get(node.name) ?? countsAt(node), node.isHealthy(now)))
    const services = new Parts(listParts(nodes, entryOf))
    await sendJson(res, objectParts(Object.entries({ services, total: nodes.length })))
  }
}

/** With the members that InfiniLM's router has. */
function serviceEntry(node: TrackedNode, counted: Counted, healthy: boolean): Record<string, unknown> {
  const { spec, name } = node
  const { hostname, port, protocol } = new URL(spec.origin)
  const { request_count, error_count, response_time } = counted
  return {
    name,
    url: urlOf(spec),
    healthy,
    ...abilities(node),
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port || (protocol === 'https:' ? 443 : 80)),
    weight: spec.weight ?? 1,
    ...{ request_count, error_count, response_time },
    metadata: spec.metadata ?? { type: node.isInfernet ? 'infernet-node' : 'openai-api' },
  }
}

/** What was counted of a backend. */
interface Counted {
  readonly request_count: number
  readonly error_count: number
  /** Seconds. */
  readonly response_time: number
}

function countsAt({ counts }: TrackedNode): Counted {
  const { requests, errors, responseSeconds } = counts
  return { request_count: requests, error_count: errors, response_time: rounded(responseSeconds) }
}

/** How a list of `/stats` is represented: as its elements, or as the parts of their JSON. */
type ListOf = <Item>(items: readonly Item[], elementOf: (item: Item) => unknown) => unknown

/** What `/stats` tells of one process, with lists in the given form. */
async function statsOf(deps: WatchDeps, startedAt: number, listOf: ListOf): Promise<Record<string, unknown>> {
  const { fleet, live, ledger, memory, activity, queue, badLines, drain, drains, version } = deps
  const { named: conflicts } = await fleet.conflicts()
  const nodes = [...fleet.nodes.values(), ...drains.leaving]
  const ledgerHealth = ledger.health()
  const kinds = mostKinds(fleet)
  const surroundings = { fleet, drains, now: fleet.now(), conflicts: conflictsByNode(conflicts) }
  const replicas = replicaStats(ledger)
  const work = activity.raw()
  const cacheColumnsOf = cacheColumnsByService(work.caches)
  return {
    total_services: nodes.length,
    // What is drained is as healthy as before.
    healthy_services: nodes.filter((node) => isShownHealthy(fleet, node)).length,
    draining_services: drains.nodes.length,
    services: listOf(nodes, (node) => ({
      ...nodeStats(node, kinds, surroundings),
      ...(!node.isInfernet && cacheColumnsOf(node.name)),
    })),
    running_requests: drain.running,
    queue: toldQueue(queue),
    jobs: {
      unfinished: live.size,
      recorded: ledgerHealth.jobs,
      kept_bytes: ledgerHealth.keptBytes,
      recordable: ledgerHealth.writable,
      ...(ledgerHealth.reason !== undefined && { reason: ledgerHealth.reason }),
    },
    memory: {
      budget_bytes: memory.totalBytes,
      used_bytes: memory.usedBytes,
      own_bytes: memory.ownBytes,
      refused: memory.refusals,
    },
    fleet: {
      service_time: rounded(fleet.loads.infernet.serviceSeconds),
      mean_latency: rounded(fleet.loads.infernet.meanLatencySeconds),
      kinds: kinds.map(({ name, weight, jobs }) => ({ kind: name, weight: rounded(weight), jobs })),
    },
    ...work,
    image_conflicts: listOf(conflicts, (conflict) => conflict),
    bad_lines: listOf(badLines.list, (line) => line),
    bad_lines_total: badLines.total,
    ...(replicas && { replicas }),
    version,
    uptime: Math.round((performance.now() - startedAt) / 1000),
    draining: drain.isDraining,
  }
}

/** What this process has to tell for `/stats`, as plain values that add up with those of others and that can be sent to another one. */
export function plainStats(deps: WatchDeps): Promise<Record<string, unknown>> {
  return statsOf(deps, 0, (items, elementOf) => items.map(elementOf))
}

/**
 * `GET /stats`: how they do, and what the policy believes of each, so that one can see why a node is or is not chosen. `ofAll`
 * gives that of all workers, where this process is one of several.
 */
export function statsPage(deps: WatchDeps, ofAll?: StatsOfAll): RequestHandler {
  const startedAt = performance.now()
  const parts: ListOf = (items, elementOf) => new Parts(listParts(items, (item) => JSON.stringify(elementOf(item))))
  return async (_req, res) => {
    const stats = ofAll ? listsInParts(await ofAll()) : await statsOf(deps, startedAt, parts)
    const work = toldWork(stats as unknown as RawWork)
    await sendJson(res, objectParts(Object.entries({ ...stats, ...work })))
  }
}

/** Of long lists: those of models and containers are short. What services tell of their caches is made of the sums. */
function listsInParts(stats: Record<string, unknown>): Record<string, unknown> {
  const { services, image_conflicts } = stats as { services: SummedService[]; image_conflicts: unknown[] }
  const cacheColumnsOf = cacheColumnsByService((stats as unknown as RawWork).caches)
  const told = services.map((one) => (one.kind === 'openai' ? { ...one, ...cacheColumnsOf(one.name) } : one))
  const lists = { services: new Parts(listParts(told)), image_conflicts: new Parts(listParts(image_conflicts)) }
  return { ...stats, ...lists, queue: boundedQueue(stats['queue'] as ToldQueue | null) }
}

interface SummedService {
  readonly kind: string
  readonly name: string
}

/** The kinds of work with the most jobs. */
function mostKinds({ loads }: Fleet): WorkKind[] {
  const kinds = [...loads.infernet.kinds.most(MOST_KINDS), ...loads.openai.kinds.most(MOST_KINDS)]
  return kinds.sort((a, b) => b.jobs - a.jobs).slice(0, MOST_KINDS)
}

function nodeStats(node: TrackedNode, kinds: readonly WorkKind[], surroundings: Surroundings): Record<string, unknown> {
  const { fleet, drains, now } = surroundings
  const load = node.load.snapshot(now)
  return {
    name: node.name,
    kind: node.spec.kind,
    healthy: isShownHealthy(fleet, node),
    drain: drains.stateOf(node),
    ...reasonOf(node),
    several_nodes: node.answersInTurn,
    ...(node.answersInTurn && { advice: `${SEVERAL_NODES}; ${SEVERAL_NODES_ADVICE}` }),
    ...countsAt(node),
    in_flight: node.inFlight,
    pending: node.pending,
    unfinished: load.inFlight,
    load: rounded(load.load),
    unseen: rounded(load.unseenJobs),
    service_time: rounded(load.serviceSeconds),
    concurrency: load.concurrency,
    kinds: kindFactors(node, kinds),
    score: rounded(node.load.score(now)),
    failure_level: rounded(load.failureLevel),
    black_hole_suspicion: rounded(load.suspicion),
    ...conditionsOf(node, load, surroundings),
    ...abilities(node),
  }
}

/** Why it gets no work, or why its last poll failed. */
function reasonOf({ notReady, reason = notReady }: TrackedNode): { reason?: string } {
  return reason === undefined ? {} : { reason }
}

/** Of one that is in no list any more, and so is not polled, what was known last stands. */
function isShownHealthy(fleet: Fleet, node: TrackedNode): boolean {
  return node.isRetired ? node.health.isHealthy : node.isHealthy(fleet.now())
}

/** How many times as long as usual the node takes for kinds of work, those first where that is furthest from 1. */
function kindFactors(node: TrackedNode, kinds: readonly WorkKind[]): Record<string, number> {
  const factors = kinds.flatMap((kind): [string, number][] => {
    const factor = node.load.learntFactor(kind)
    return factor === undefined ? [] : [[kind.name, rounded(factor)]]
  })
  const distance = ([, factor]: [string, number]): number => Math.abs(Math.log(factor))
  factors.sort((a, b) => distance(b) - distance(a))
  return Object.fromEntries(factors.slice(0, MOST_KINDS_OF_NODE))
}

function abilities(node: TrackedNode): Record<string, readonly string[]> {
  return node.isInfernet ? { containers: [...node.containers.keys()] } : { models: node.models.names }
}

function rounded(value: number): number {
  return Math.round(value * 1e6) / 1e6
}
