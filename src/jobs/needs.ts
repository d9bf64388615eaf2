import type { Fleet } from '../fleet/fleet.ts'
import { CHAIN_NODE, needContainers, nobodyRuns, noHealthyNode, shortened, type Need } from '../fleet/need.ts'
import type { TrackedNode } from '../fleet/node.ts'
import type { Selector } from '../fleet/selector.ts'
import { GatewayFault } from '../faults.ts'
import type { Submission } from './shape.ts'
import { PipelineHashes } from './subscriptionHash.ts'

/** Errors by which a node says that it will not but another may (its own words; it has no codes). */
const NODE_SPECIFIC_REFUSALS = new Set([
  'Container not supported',
  'Container not allowed for address',
  'Container does not generate proof',
])

/** What a submission asks of a node. */
export function needOf(submission: Submission, selector: Selector): Need {
  return submission.kind === 'job'
    ? needContainers(submission.containers)
    : needHash(submission.containersHash, selector)
}

const pipelineHashes = new PipelineHashes()

/** A chain-enabled node that runs the containers which the hash names; for a hash nobody knows, any chain-enabled node. */
function needHash(hash: string, selector: Selector): Need {
  const sets = selector.candidates(CHAIN_NODE).map((node) => [...node.containers.keys()])
  const containers = pipelineHashes.find(hash, sets)
  if (!containers) return CHAIN_NODE
  const need: Need = {
    key: `hash:${hash.toLowerCase()}`,
    kind: 'infernet',
    fits: (node) => CHAIN_NODE.fits(node) && containers.every((id) => node.containers.has(id)),
  }
  return selector.candidates(need).length > 0 ? need : CHAIN_NODE
}

/** The fault for a submission that nobody can take. */
export function noNodeFor(submission: Submission, fleet: Fleet): GatewayFault {
  if (submission.kind === 'subscription') {
    return noHealthyNode('No healthy node has its chain enabled')
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
  const infos = [...fleet.nodes.values()].map((node: TrackedNode) => node.containers.get(container))
  return infos.some((info) => info !== undefined) && infos.every((info) => info === undefined || !info.external)
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
