/** The processes that chaos befalls: nodes whose finished jobs survive them, and one gateway with a ledger on disk. */
import { gatewayFor } from '../kit/builders/gateways.ts'
import type { Gateway } from '../kit/gateway.ts'
import { spawnFakeNode } from '../kit/fakeNode/index.ts'
import type { SpawnedFakeNode } from '../kit/fakeNode/index.ts'
import type { Cleanup } from '../kit/wait.ts'

export interface World {
  readonly nodes: readonly SpawnedFakeNode[]
  readonly gateway: Gateway
}

export const CONTAINER = 'echo'

/** Jobs of a fifth of a second in the mean, some of them ten times as long. */
const SERVICE_TIME = { kind: 'bimodal', short: 0.12, long: 2, longShare: 0.05 } as const

const ENV = {
  STATE_URL: 'sqlite:data/gateway.db',
  LOG_LEVEL: 'info',
  // A submission to a node that hangs is given up soon, so that its caller goes on.
  PROXY_TIMEOUT: '4',
  MAX_JOBS_PER_CALLER: '0',
}

export async function createWorld(t: Cleanup, nodeCount: number): Promise<World> {
  const nodes = await Promise.all(
    Array.from({ length: nodeCount }, (_, index) =>
      spawnFakeNode(
        {
          containers: [CONTAINER],
          concurrency: 12,
          speed: SERVICE_TIME,
          rateLimit: 0,
          record: 0,
          watch: false,
          seed: index + 1,
        },
        t,
      ),
    ),
  )
  return { nodes, gateway: await gatewayFor(t, nodes, ENV) }
}
