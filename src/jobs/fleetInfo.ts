import type { Request, Response } from 'express'
import type { ContainerInfo } from '../fleet/info.ts'
import { modelIdIn, queryOf } from '../http/query.ts'
import type { NodeResources, Resources } from '../proxy/resources.ts'
import type { JobDeps } from './deps.ts'

/** Clients of `/info` and `/resources` wait one second in all. */
const WAIT_SECONDS = 0.8

/** `GET /info`: the fleet as one node, as the last polls show it; polls older than a second are made again first. */
export function fleetInfo({ fleet, whenReady }: JobDeps) {
  return async (_req: Request, res: Response): Promise<void> => {
    await whenReady()
    await fleet.freshen(fleet.reachable('infernet'), WAIT_SECONDS)
    const nodes = fleet.reachable('infernet')
    const containers = new Map<string, ContainerInfo>()
    const pending = { offchain: 0, onchain: 0 }
    const chain = { enabled: false, address: '' }
    let version = ''
    for (const { info } of nodes) {
      if (!info) continue
      for (const container of info.containers)
        if (!containers.has(container.id)) containers.set(container.id, container)
      pending.offchain += info.pending.offchain
      pending.onchain += info.pending.onchain
      if (info.chain.enabled && !chain.enabled) Object.assign(chain, info.chain)
      if (info.version.localeCompare(version, 'en', { numeric: true }) > 0) version = info.version
    }
    res.json({ chain, containers: [...containers.values()], pending, version })
  }
}

/** `GET /resources[?model_id=]`: what any node can do. */
export function fleetResources({ fleet, whenReady }: JobDeps, resources: Resources) {
  return async (req: Request, res: Response): Promise<void> => {
    await whenReady()
    const modelId = modelIdIn(queryOf(req))
    const byNode = await resources.of(fleet.reachable('infernet'), modelId, WAIT_SECONDS)
    res.json(merge([...byNode.values()]))
  }
}

/** The union of all containers; where one is asked about a model, `supported` wins over not. */
function merge(all: readonly NodeResources[]): Record<string, unknown> {
  const merged = new Map<string, Readonly<Record<string, unknown>>>()
  for (const resources of all) {
    for (const [container, entry] of Object.entries(resources)) {
      const known = merged.get(container)
      if (!known || (known['supported'] !== true && entry['supported'] === true)) merged.set(container, entry)
    }
  }
  return Object.fromEntries(merged)
}
