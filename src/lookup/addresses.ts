import type { Request, Response } from 'express'
import type { Fleet, TrackedNode } from '../fleet/index.ts'
import {
  ANY_NODE,
  nobodyRuns,
  noHealthyNode,
  requireContainers,
  type Requirement,
  type Selector,
} from '../dispatch/index.ts'
import { GatewayFault } from '../faults.ts'
import { containersIn, contextOf, listParts, modelIdIn, queryOf, sendJson, wholeNumber } from '../http/index.ts'
import { pageOf, Walks } from './pages.ts'
import type { NodeAnswer, Resources } from './resources.ts'
import { inTurns, type Steps } from '../base/index.ts'

export interface LookupDeps {
  readonly fleet: Fleet
  readonly selector: Selector
  readonly resources: Resources
  readonly walks: Walks
  /** Resolves once nodes are known, or rejects with ERR_NOT_READY. */
  readonly whenReady: () => Promise<void>
}

const DEFAULT_ADDRESSES = 3
/** Of larger fleets the order behind these places is made with the second page, since few callers want one. */
const ORDERED_AT_ONCE = 256
/** How long `/api/v1/resources` waits for nodes: its clients wait three seconds in all. */
const RESOURCES_WAIT_SECONDS = 2.5

/**
 * `GET /api/v1/ips`: addresses of nodes that run all the containers, best first. The first one counts as load at once, until a
 * poll shows it. A caller that goes on at an `offset` walks through the order that its first page began.
 */
export function lookupAddresses(deps: LookupDeps) {
  return async (req: Request, res: Response): Promise<void> => {
    const query = queryOf(req)
    const containers = containersIn(query)
    if (containers.length === 0) throw new GatewayFault('ERR_BAD_REQUEST', 'No containers specified')
    const n = wholeNumber(query, 'n', DEFAULT_ADDRESSES)
    const offset = wholeNumber(query, 'offset', 0)
    await deps.whenReady()
    const requirement = requireContainers(containers)
    const id = Walks.idOf(contextOf(req).caller, requirement.key)
    const nodes = offset === 0 ? firstPage(deps, requirement, n, id) : nextPage(deps, requirement, { n, offset }, id)
    res.json((await nodes).map((node) => node.name))
  }
}

async function firstPage(
  deps: LookupDeps,
  requirement: Requirement,
  n: number,
  id: string,
): Promise<readonly TrackedNode[]> {
  const ranked = deps.selector.rank(requirement, Math.max(n, ORDERED_AT_ONCE), 0)
  const page = ranked.slice(0, n)
  countFirst(deps, page)
  await deps.walks.keep(id, { keys: ranked.map(({ key }) => key), shown: page.length })
  return page
}

async function nextPage(
  deps: LookupDeps,
  requirement: Requirement,
  { n, offset }: { readonly n: number; readonly offset: number },
  id: string,
): Promise<readonly TrackedNode[]> {
  const before = await deps.walks.find(id)
  if (!before) return handOut(deps, requirement, n, offset)
  const { page, walk } = pageOf(before, deps.selector.rank(requirement, Infinity, 0), n, offset)
  await deps.walks.keep(id, walk)
  return page
}

/** `GET /api/v1/ip`: the one best address. */
export function lookupAddress(deps: LookupDeps) {
  return async (req: Request, res: Response): Promise<void> => {
    const containers = containersIn(queryOf(req))
    await deps.whenReady()
    const [best] = handOut(deps, containers.length === 0 ? ANY_NODE : requireContainers(containers), 1, 0)
    if (!best) throw containers.length === 0 ? noHealthyNode('No healthy node') : nobodyRuns(containers)
    res.json({ ip: best.name })
  }
}

function handOut(deps: LookupDeps, requirement: Requirement, n: number, offset: number): readonly TrackedNode[] {
  const nodes = deps.selector.rank(requirement, n, offset)
  countFirst(deps, nodes)
  return nodes
}

function countFirst({ fleet }: LookupDeps, [first]: readonly TrackedNode[]): void {
  if (!first) return
  first.load.lookedUp(fleet.now())
  fleet.reconsiderPoll(first)
}

/** `GET /api/v1/containers`: what runs anywhere, and on how many healthy nodes. */
export function lookupContainers({ fleet, whenReady }: LookupDeps) {
  return async (_req: Request, res: Response): Promise<void> => {
    await whenReady()
    const found = await inTurns(countSteps(fleet.healthy('infernet')))
    await sendJson(res, listParts(found.values()))
  }
}

/** Containers that are listed; what nodes list beyond that is left out. */
const MOST_CONTAINERS = 100_000

interface Count {
  readonly id: string
  count: number
  description?: string
}

function* countSteps(nodes: readonly TrackedNode[]): Steps<ReadonlyMap<string, Count>> {
  const found = new Map<string, Count>()
  for (const node of nodes) {
    for (const { id, description } of node.containers.values()) {
      let entry = found.get(id)
      if (!entry) {
        if (found.size === MOST_CONTAINERS) continue
        entry = { id, count: 0 }
        found.set(id, entry)
      }
      entry.count++
      if (description !== '') entry.description ??= description
    }
    yield
  }
  return found
}

/** `GET /api/v1/resources[?model_id=]`: what each node can do, by address. */
export function lookupResources({ fleet, resources, whenReady }: LookupDeps) {
  return async (req: Request, res: Response): Promise<void> => {
    await whenReady()
    const modelId = modelIdIn(queryOf(req))
    const answers = await resources.of(fleet.healthy('infernet'), modelId, RESOURCES_WAIT_SECONDS)
    await sendJson(res, membersOf(answers))
  }
}

/** One node after the other, so that only one answer is held as text at a time. */
function* membersOf(answers: readonly NodeAnswer[]): Generator<string> {
  let separator = '{'
  for (const { node, answer } of answers) {
    if (!answer) continue
    yield `${separator}${JSON.stringify(node.name)}:${answer.toString()}`
    separator = ','
  }
  yield separator === '{' ? '{}' : '}'
}
