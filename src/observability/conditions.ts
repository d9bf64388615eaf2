import type { NodeDrains } from '../admin/nodeDrains.ts'
import type { Fleet } from '../fleet/fleet.ts'
import { describeKind } from '../dispatch/judge.ts'
import { shortened } from '../dispatch/requirement.ts'
import type { ImageConflict } from '../fleet/conflicts.ts'
import type { NodeLoadSnapshot } from '../fleet/load/snapshot.ts'
import type { TrackedNode } from '../fleet/node.ts'

/** Kinds of work that are shown of those for which a node is set aside. */
const MOST_AVOIDED = 20
/** Containers that are named of those whose image is not the same everywhere. */
const MOST_CONFLICTS = 3
/** A share of failures that is worth telling. */
const FAILING = 0.1
/** How many times as long as the mean of the fleet a job takes at a backend that is called slow. */
const SLOW = 2

/** Why a backend gets less work than others, or none. Their texts are for people. */
type Cause =
  | 'not_polled'
  | 'down'
  | 'not_ready'
  | 'draining'
  | 'ejected'
  | 'on_trial'
  | 'set_aside'
  | 'resting'
  | 'failing'
  | 'slow'
  | 'no_work_seen'
  | 'image_conflict'

interface Avoidance {
  readonly cause: Cause
  /** The kind of work that it is about; null where it is about all. */
  readonly kind: string | null
  readonly text: string
  /** When that ends, or a request may try it; null where it is not a matter of time. */
  readonly until: string | null
}

/** What the conditions of all backends are reckoned from. */
export interface Surroundings {
  readonly fleet: Fleet
  readonly drains: Pick<NodeDrains, 'stateOf'>
  /** Monotonic seconds. */
  readonly now: number
  /** Containers with several images, by the names of the nodes that run them. */
  readonly conflicts: ReadonlyMap<string, readonly string[]>
}

/** How a backend is, besides its figures, as `/stats` shows it. */
export function conditionsOf(
  node: TrackedNode,
  load: NodeLoadSnapshot,
  surroundings: Surroundings,
): Record<string, unknown> {
  const { fleet, now } = surroundings
  return {
    down_since: node.downSince === undefined ? null : isoTime(node.downSince, now),
    last_asked: node.askedAt === undefined ? null : isoTime(node.askedAt, now),
    service_time_from: load.serviceFrom,
    concurrency_from: load.concurrencyFrom,
    ejected_until: load.ejectedUntil === undefined ? null : isoTime(load.ejectedUntil, now),
    avoided: avoidedFor(fleet, node, now),
    why_avoided: [...whyAvoided(node, load, surroundings)],
  }
}

/** Of each node the first containers whose image is another one elsewhere. */
export function conflictsByNode(conflicts: readonly ImageConflict[]): Map<string, string[]> {
  const byNode = new Map<string, string[]>()
  for (const { container, images } of conflicts) {
    for (const name of Object.values(images).flat()) {
      const containers = byNode.get(name)
      if (!containers) byNode.set(name, [container])
      else if (containers.length < MOST_CONFLICTS) containers.push(container)
    }
  }
  return byNode
}

function* whyAvoided(node: TrackedNode, load: NodeLoadSnapshot, surroundings: Surroundings): Generator<Avoidance> {
  const { fleet, drains, now, conflicts } = surroundings
  const because = (cause: Cause, text: string, until?: number, kind: string | null = null): Avoidance => {
    return { cause, kind, text, until: until === undefined ? null : isoTime(until, now) }
  }
  if (!node.isKnown) yield because('not_polled', 'not polled yet')
  else if (!node.health.isHealthy) yield because('down', node.reason ?? 'its polls fail')
  if (drains.stateOf(node) !== null) yield because('draining', 'gets no new work: it is to be switched off')
  if (node.notReady !== undefined) yield because('not_ready', `by its own report: ${node.notReady}`)
  if (load.ejectedUntil !== undefined) yield because('ejected', 'its requests keep failing', load.ejectedUntil)
  else if (load.isOnTrial) yield because('on_trial', 'on trial: one request at a time until one succeeds')
  for (const { kind, reason, until } of fleet.outliers.avoided(node, now).slice(0, MOST_AVOIDED)) {
    const work = shortened(describeKind(kind))
    yield because('set_aside', `set aside for ${work}: ${reason}`, until, work)
  }
  const restsUntil = node.restsUntil(now)
  if (restsUntil !== undefined) yield because('resting', 'rests after 429, for some or all of its work', restsUntil)
  if (load.failureLevel >= FAILING) {
    yield because('failing', `${Math.round(load.failureLevel * 100)} % of its requests failed lately`)
  }
  const usual = fleet.loads[node.spec.kind].serviceSeconds
  if (load.serviceFrom === 'learnt' && load.serviceSeconds >= SLOW * usual) {
    yield because('slow', `slow: a job takes ${(load.serviceSeconds / usual).toPrecision(2)} × as long as elsewhere`)
  }
  if (node.load.isBlackHole(now)) yield because('no_work_seen', 'gets jobs by look-ups, but shows no work')
  const containers = conflicts.get(node.name)
  if (containers) yield because('image_conflict', `its image is another one than elsewhere: ${containers.join(', ')}`)
}

/** For which kinds of work the node is set aside, why, and when it is tried again. */
function avoidedFor({ outliers }: Fleet, node: TrackedNode, now: number): object[] {
  return outliers
    .avoided(node, now)
    .slice(0, MOST_AVOIDED)
    .map(({ kind, reason, until }) => ({ kind: shortened(describeKind(kind)), reason, until: isoTime(until, now) }))
}

/** Monotonic seconds as a time of day. */
function isoTime(at: number, now: number): string {
  return new Date(Date.now() + (at - now) * 1000).toISOString()
}
