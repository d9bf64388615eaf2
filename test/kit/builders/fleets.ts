/** Nodes and fleets in this process, for tests of what is inside of the gateway. */
import type { Identity } from '../../../src/base/identity.ts'
import { parseAddress, type NodeSpec } from '../../../src/fleet/address.ts'
import { Fleet } from '../../../src/fleet/fleet.ts'
import type { NodeInfo } from '../../../src/fleet/info.ts'
import { FleetLoad } from '../../../src/fleet/load/fleetLoad.ts'
import { NodeLoad } from '../../../src/fleet/load/nodeLoad.ts'
import { TrackedNode } from '../../../src/fleet/node.ts'
import type { NodeSource } from '../../../src/fleet/sources/source.ts'
import type { Cleanup } from '../wait.ts'

const specOf = (at: string | NodeSpec): NodeSpec => (typeof at === 'string' ? parseAddress(at) : at)

/** A gateway that exists in the test alone. */
export const TEST_IDENTITY: Identity = { via: '1.1 test', address: 'fd00::1' }

/** A node that nobody polls, by its address. */
export function trackedNode(at: string | NodeSpec, load: NodeLoad = new NodeLoad(new FleetLoad())): TrackedNode {
  return new TrackedNode(specOf(at), load)
}

/** A service that nobody polls and that has these models; of its members `more` replaces some. */
export function trackedService(models: readonly string[], more: Partial<NodeSpec> = {}): TrackedNode {
  const service = trackedNode({ ...parseAddress('10.0.0.1:4000'), kind: 'openai', ...more })
  service.learnModels(
    models.map((id) => ({ id, json: '{}' })),
    '/v1',
  )
  return service
}

/** Lets a node run these containers, as a poll would. */
export function setContainers(node: TrackedNode, containers: NodeInfo['containers']): void {
  node.containers = new Map(containers.map((container) => [container.id, container]))
}

/** A source whose list a test writes. */
export class ListedNodes implements NodeSource {
  readonly name = 'test'
  #onList: (specs: readonly NodeSpec[]) => void = () => undefined
  #specs: readonly NodeSpec[]

  constructor(...nodes: (string | NodeSpec)[]) {
    this.#specs = nodes.map(specOf)
  }

  async start(onList: (specs: readonly NodeSpec[]) => void): Promise<void> {
    this.#onList = onList
    onList(this.#specs)
  }

  stop(): void {
    // Nothing runs.
  }

  list(...nodes: (string | NodeSpec)[]): void {
    this.#specs = nodes.map(specOf)
    this.#onList(this.#specs)
  }
}

type FleetOptions = ConstructorParameters<typeof Fleet>[0]

/** A fleet that has not been started, and is stopped after the test. Nodes are polled at the start and then seldom. */
export function newFleet(t: Cleanup, sources: readonly NodeSource[], over: Partial<FleetOptions> = {}): Fleet {
  const fleet = new Fleet({ sources, refreshIntervalSeconds: 3600, identity: TEST_IDENTITY, ...over })
  t.after(() => fleet.stop())
  return fleet
}

/** The same, once its sources have told what they list. */
export async function startFleet(
  t: Cleanup,
  sources: readonly NodeSource[],
  over: Partial<FleetOptions> = {},
): Promise<Fleet> {
  const fleet = newFleet(t, sources, over)
  await fleet.start()
  return fleet
}
