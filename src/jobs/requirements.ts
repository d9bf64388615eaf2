import type { Fleet, TrackedNode } from '../fleet/index.ts'
import {
  CHAIN_NODE,
  nobodyRuns,
  noHealthyNode,
  requireContainers,
  type Requirement,
  type Selector,
  shortened,
} from '../dispatch/index.ts'
import { GatewayFault } from '../faults.ts'
import { inTurns, type Steps } from '../base/index.ts'
import type { Submission } from './shape.ts'
import { PipelineHashes, type ContainerSets } from './pipelineHashes.ts'
import { unsupportedIn } from './unsupported.ts'

/** Errors by which a node says that it will not but another may (its own words; it has no codes). */
const NODE_SPECIFIC_REFUSALS = new Set([
  'Container not supported',
  'Container not allowed for address',
  'Container does not generate proof',
])

/** What a submission asks of a node. At once for a job; for a subscription hashes may have to be made, in slices. */
export function requirementOf(submission: Submission, selector: Selector): Requirement | Promise<Requirement> {
  return submission.kind === 'job'
    ? requireContainers(submission.containers)
    : requireHash(submission.containersHash, selector)
}

const pipelineHashes = new PipelineHashes()
/** The containers of each of these nodes, by their list, which is the same array until the fleet changes. */
const setsOf = new WeakMap<readonly TrackedNode[], ContainerSets>()

/** A chain-enabled node that runs the containers which the hash names; for a hash nobody knows, any chain-enabled node. */
async function requireHash(hash: string, selector: Selector): Promise<Requirement> {
  const containers = hash === '' ? undefined : await inTurns(containersOf(hash, selector.candidates(CHAIN_NODE)))
  if (!containers) return CHAIN_NODE
  const requirement: Requirement = {
    key: `hash:${hash.toLowerCase()}`,
    kind: 'infernet',
    fits: (node) => CHAIN_NODE.fits(node) && containers.every((id) => node.containers.has(id)),
  }
  return selector.candidates(requirement).length > 0 ? requirement : CHAIN_NODE
}

function* containersOf(hash: string, nodes: readonly TrackedNode[]): Steps<readonly string[] | undefined> {
  let sets = setsOf.get(nodes)
  if (!sets) {
    const made: (readonly string[])[] = []
    for (const node of nodes) {
      made.push([...node.containers.keys()])
      yield
    }
    sets = made
    setsOf.set(nodes, sets)
  }
  return yield* pipelineHashes.findSteps(hash, sets)
}

/** The fault for a submission that no node can take: in a node's own words where no other time would be better. */
export function noNodeFor(submission: Submission, fleet: Fleet): GatewayFault {
  if (submission.kind === 'subscription') {
    return noHealthyNode('No healthy node has its chain enabled')
  }
  const unsupported = unsupportedIn(submission.containers, fleet)
  if (unsupported !== undefined) {
    return new GatewayFault('ERR_JOB_REFUSED', 'Container not supported', {
      params: { container: shortened(unsupported) },
    })
  }
  const first = submission.containers[0] ?? ''
  if (isInnerEverywhere(first, fleet)) {
    return new GatewayFault('ERR_JOB_REFUSED', 'First container must be external', {
      params: { first_container: shortened(first) },
    })
  }
  return nobodyRuns(submission.containers)
}

function isInnerEverywhere(container: string, fleet: Fleet): boolean {
  let isThere = false
  for (const node of fleet.nodes.values()) {
    const info = node.containers.get(container)
    if (info?.external === true) return false
    isThere ||= info !== undefined
  }
  return isThere
}

/** Whether a node's refusal is its own affair, so that another node may take the job. */
export function isNodeSpecificRefusal(status: number, body: Buffer): boolean {
  if (status !== 405 || body.length > 10_000) return false
  try {
    const { error } = JSON.parse(body.toString()) as { error?: unknown }
    return typeof error === 'string' && NODE_SPECIFIC_REFUSALS.has(error)
  } catch {
    return false
  }
}
