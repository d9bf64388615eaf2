import type { NodeKind } from './address.ts'
import type { TrackedNode } from './node.ts'

/** What a request asks of a node. Needs with the same key are the same need. */
export interface Need {
  readonly key: string
  readonly kind: NodeKind
  fits(node: TrackedNode): boolean
}

/** Any Infernet node. */
export const ANY_NODE: Need = { key: 'any', kind: 'infernet', fits: (node) => node.isInfernet }

/** A node that runs all of these containers; the first must be external, for only such may begin a job. */
export function needContainers(containers: readonly string[]): Need {
  return {
    key: `containers:${JSON.stringify(containers)}`,
    kind: 'infernet',
    fits: (node) =>
      node.isInfernet &&
      containers.every((id) => node.containers.has(id)) &&
      node.containers.get(containers[0] ?? '')?.external === true,
  }
}

/** A service that has this model. */
export function needModel(model: string): Need {
  return { key: `model:${model}`, kind: 'openai', fits: (node) => !node.isInfernet && node.models.has(model) }
}

/** A chain-enabled node. */
export const CHAIN_NODE: Need = {
  key: 'chain',
  kind: 'infernet',
  fits: (node) => node.isInfernet && node.info?.chain.enabled === true,
}
