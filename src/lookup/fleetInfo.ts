import type { Request, Response } from 'express'
import type { ContainerInfo, TrackedNode } from '../fleet/index.ts'
import { listParts, memoryOf, modelIdIn, objectParts, Parts, queryOf, replayRefused, sendJson } from '../http/index.ts'
import { ResourceMerge } from './resourceMerge.ts'
import { inTurns, type Steps } from '../base/index.ts'
import type { LookupDeps } from './addresses.ts'

/** Clients of `/info` and `/resources` wait one second in all. */
const WAIT_SECONDS = 0.8
/** Containers that `/info` lists; what nodes list beyond that is left out. */
const MOST_CONTAINERS = 100_000

/** `GET /info`: the fleet as one node, as the last polls show it; polls older than a second are made again first. */
export function fleetInfo({ fleet, whenReady }: LookupDeps) {
  return async (_req: Request, res: Response): Promise<void> => {
    await whenReady()
    await fleet.freshen(fleet.reachable('infernet'), WAIT_SECONDS)
    const { containers, ...rest } = await inTurns(sumSteps(fleet.reachable('infernet')))
    const { chain, pending, version } = rest
    const list = new Parts(listParts(containers.values()))
    await sendJson(res, objectParts(Object.entries({ chain, containers: list, pending, version })))
  }
}

function* sumSteps(nodes: readonly TrackedNode[]): Steps<{
  containers: ReadonlyMap<string, ContainerInfo>
  pending: { offchain: number; onchain: number }
  chain: { enabled: boolean; address: string }
  version: string
}> {
  const containers = new Map<string, ContainerInfo>()
  const pending = { offchain: 0, onchain: 0 }
  const chain = { enabled: false, address: '' }
  let version = ''
  for (const { info } of nodes) {
    yield
    if (!info) continue
    for (const container of info.containers) {
      if (!containers.has(container.id) && containers.size < MOST_CONTAINERS) containers.set(container.id, container)
    }
    pending.offchain += info.pending.offchain
    pending.onchain += info.pending.onchain
    if (info.chain.enabled && !chain.enabled) Object.assign(chain, info.chain)
    if (info.version !== version && VERSIONS.compare(info.version, version) > 0) version = info.version
  }
  return { containers, pending, chain, version }
}

/** By number: 1.10 comes after 1.9. */
const VERSIONS = new Intl.Collator('en', { numeric: true })

/** `GET /resources[?model_id=]`: what any node can do. */
export function fleetResources({ fleet, whenReady, resources }: LookupDeps) {
  return async (req: Request, res: Response): Promise<void> => {
    await whenReady()
    const modelId = modelIdIn(queryOf(req))
    const answers = await resources.of(fleet.reachable('infernet'), modelId, WAIT_SECONDS)
    const merge = new ResourceMerge(memoryOf(req).answer)
    await inTurns(merge.addAll(answers))
    if (merge.refusal) throw replayRefused(merge.refusal)
    await sendJson(res, merge.members())
  }
}
