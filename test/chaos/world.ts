/** The processes that chaos befalls: nodes whose finished jobs survive them, and one gateway with a ledger on disk, or several with a Redis. */
import { gatewayFor } from '../kit/builders/gateways.ts'
import type { FaultyProxy } from '../kit/faultyProxy.ts'
import type { Gateway } from '../kit/gateway.ts'
import { spawnFakeNode } from '../kit/fakeNode/index.ts'
import type { SpawnedFakeNode } from '../kit/fakeNode/index.ts'
import type { Cleanup } from '../kit/wait.ts'
import type { ChaosOptions } from './options.ts'
import { RedisPair } from './redisPair.ts'

/** What gateways share, and the network between each of them and it. */
interface Shared {
  readonly redis: RedisPair
  readonly lines: readonly FaultyProxy[]
}

export interface World {
  readonly nodes: readonly SpawnedFakeNode[]
  readonly gateways: readonly Gateway[]
  readonly shared: Shared | undefined
}

export const CONTAINER = 'echo'

/** Seconds without a sign of life after which a gateway counts as dead. */
export const REPLICA_TIMEOUT = 2.5

/** Jobs of a fifth of a second in the mean, some of them ten times as long. */
const SERVICE_TIME = { kind: 'bimodal', short: 0.12, long: 2, longShare: 0.05 } as const

const PRELOADED = new URL('../e2e/jobs/otherAddress.ts', import.meta.url).href

const ENV = {
  STATE_URL: 'sqlite:data/gateway.db',
  LOG_LEVEL: 'info',
  // A submission to a node that hangs is given up soon, so that its caller goes on.
  PROXY_TIMEOUT: '4',
  MAX_JOBS_PER_CALLER: '0',
  READ_RATELIMIT_REQS_PER_MIN: '0',
}

export async function createWorld(t: Cleanup, { nodes: nodeCount, replicas, addresses }: ChaosOptions): Promise<World> {
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
  if (replicas === 1) return { nodes, gateways: [await gatewayFor(t, nodes, ENV)], shared: undefined }
  const { pair, lines } = await RedisPair.start(t, replicas)
  const envOf = (line: FaultyProxy, index: number): Record<string, string> => ({
    ...ENV,
    STATE_URL: pair.master.urlAt(line.port),
    REPLICA_TIMEOUT: String(REPLICA_TIMEOUT),
    DRAIN_TIMEOUT: '5',
    ...(addresses === 'each' && { NODE_OPTIONS: `--import ${PRELOADED}`, OWN_ADDRESS: `127.0.0.${61 + index}` }),
  })
  const gateways = await Promise.all(lines.map((line, index) => gatewayFor(t, nodes, envOf(line, index))))
  return { nodes, gateways, shared: { redis: pair, lines } }
}
