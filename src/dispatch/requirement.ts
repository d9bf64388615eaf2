import type { NodeKind } from '../fleet/address.ts'
import { MAX_CONTAINERS } from '../fleet/info.ts'
import type { TrackedNode } from '../fleet/node.ts'
import { GatewayFault } from '../faults.ts'

/** What a fault repeats of a list of containers: a client may have named one by megabytes, or a hundred thousand. */
const MOST_NAMED = 20
const LONGEST_NAME = 100

/** What a request asks of a node. Those with the same key are the same requirement. */
export interface Requirement {
  readonly key: string
  readonly kind: NodeKind
  /** The name of the kind of work, by which costs are learnt: the same for all that asks for these containers, or this model. */
  readonly workKind?: string
  /** It asks for what a node has already, such as a stored response: one that gets no new work may be asked too. */
  readonly isFollowUp?: boolean
  fits(node: TrackedNode): boolean
}

/** Any Infernet node. */
export const ANY_NODE: Requirement = { key: 'any', kind: 'infernet', fits: (node) => node.isInfernet }

/** A node that runs all of these containers; the first must be external, for only such may begin a job. */
export function requireContainers(containers: readonly string[]): Requirement {
  // Each once, in their order, of which only the first place matters: a pipeline may name one container many times.
  const distinct = containers.length > 1 ? distinctOf(containers) : containers
  if (distinct.length > MAX_CONTAINERS) return { key: 'nobody', kind: 'infernet', fits: () => false }
  const first = distinct[0] ?? ''
  return {
    key: `containers:${JSON.stringify(distinct)}`,
    kind: 'infernet',
    workKind: workKindOf(distinct),
    fits: (node) =>
      node.isInfernet &&
      node.containers.get(first)?.external === true &&
      distinct.every((id) => node.containers.has(id)),
  }
}

/** Each once, in their order; of more than a node can have only so many. */
function distinctOf(containers: readonly string[]): readonly string[] {
  const distinct = new Set<string>()
  for (const id of containers) if (distinct.add(id).size > MAX_CONTAINERS) break
  return [...distinct]
}

/** A service that has this model, under its own name or another. */
export function requireModel(model: string): Requirement {
  const name = `model:${model}`
  return {
    ...{ key: name, kind: 'openai', workKind: name },
    fits: (node) => !node.isInfernet && node.models.nameFor(model) !== undefined,
  }
}

/** The kind of work that jobs of these containers are: a set, whatever their order. */
export function workKindOf(containers: readonly string[]): string {
  if (containers.length <= 1) return `containers:${containers[0] ?? ''}`
  return `containers:${[...new Set(containers)].sort().join(',')}`
}

/** A chain-enabled node. */
export const CHAIN_NODE: Requirement = {
  key: 'chain',
  kind: 'infernet',
  fits: (node) => node.isInfernet && node.info?.chain.enabled === true,
}

/** The fault where no healthy node runs all of these. */
export function nobodyRuns(containers: readonly string[]): GatewayFault {
  const named = containers.slice(0, MOST_NAMED).map(shortened)
  const unnamed = containers.length - named.length
  const names = named.join(', ') + (unnamed > 0 ? ` and ${unnamed} more` : '')
  return noHealthyNode(`No healthy node runs ${names}`, { containers: named })
}

/** The fault where nobody is there who could take it. */
export function noHealthyNode(message: string, params?: Readonly<Record<string, unknown>>): GatewayFault {
  return new GatewayFault('ERR_NO_NODE', message, params && { params })
}

/** A name that a client made up, within a message. */
export function shortened(name: string): string {
  return name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME)}…` : name
}
