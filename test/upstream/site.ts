import { Dispatcher } from '../../src/dispatch/dispatcher.ts'
import { requireContainers } from '../../src/dispatch/requirement.ts'
import { Selector } from '../../src/dispatch/selector.ts'
import { parseAddress } from '../../src/fleet/address.ts'
import { Fleet } from '../../src/fleet/fleet.ts'
import type { NodeSource } from '../../src/fleet/sources/source.ts'
import { GatewayFault } from '../../src/faults.ts'
import type { Exchange } from '../../src/upstream/exchange.ts'
import { Upstream } from '../../src/upstream/send.ts'
import { Transport } from '../../src/upstream/transport.ts'
import type { Cleanup } from '../kit/wait.ts'
import { TEST_IDENTITY } from '../kit/builders/fleets.ts'
import { startFakeNode, type LocalFakeNode } from '../kit/fakeNode/index.ts'

export interface UpstreamSite {
  readonly nodes: readonly LocalFakeNode[]
  readonly fleet: Fleet
  readonly dispatcher: Dispatcher
  readonly upstream: Upstream
  /** A job for any of the nodes. */
  readonly job: (over?: Partial<Exchange>) => Exchange
}

/** Healthy nodes, and the way to them, without a gateway in front. */
export async function upstreamSite(t: Cleanup, count: number): Promise<UpstreamSite> {
  const nodes = await Promise.all(Array.from({ length: count }, () => startFakeNode({}, t)))
  const source: NodeSource = {
    name: 'test',
    start: async (tell) => tell(nodes.map(({ address }) => parseAddress(address))),
    stop: () => undefined,
  }
  const fleet = new Fleet({ sources: [source], refreshIntervalSeconds: 60, identity: TEST_IDENTITY })
  const transport = new Transport({ connectTimeoutSeconds: 1, answerTimeoutSeconds: 10, idleTimeoutSeconds: 10 })
  t.after(async () => {
    fleet.stop()
    await transport.close()
  })
  await fleet.start()
  await fleet.whenReady(10)
  await Promise.all([...fleet.nodes.values()].map((node) => untilHealthy(fleet, node)))
  const dispatcher = new Dispatcher(fleet, new Selector(fleet))
  const body = Buffer.from(JSON.stringify({ containers: ['echo'], data: {} }))
  const headers = ['content-type', 'application/json', 'traceparent', TRACEPARENT]
  const job: UpstreamSite['job'] = (over) => ({
    requirement: requireContainers(['echo']),
    caller: 'caller',
    cooldownKey: '/api/jobs caller',
    requestFor: (node) => ({ method: 'POST', path: `${node.spec.basePath}/api/jobs`, headers, body }),
    retry: { mayRunTwice: false, followsPushback: true },
    noNode: () => new GatewayFault('ERR_NO_NODE'),
    ...over,
  })
  return { nodes, fleet, dispatcher, upstream: new Upstream(dispatcher, transport), job }
}

/** The trace of the client, as every job of the site carries it. */
export const TRACEPARENT = '00-0123456789abcdef0123456789abcdef-0123456789abcdef-01'

function untilHealthy(fleet: Fleet, node: { readonly health: { readonly isHealthy: boolean } }): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const look = (): void => {
    if (!node.health.isHealthy) return
    fleet.off('node:up', look)
    resolve()
  }
  fleet.on('node:up', look)
  look()
  return promise
}
