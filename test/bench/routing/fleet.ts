import type { LocalSimNode } from '../../kit/simNode/index.ts'
import { startSimNode } from '../../kit/simNode/index.ts'
import { seeded } from './random.ts'

/** A simulated node, and what is really true of it. */
export interface BenchNode {
  readonly sim: LocalSimNode
  readonly concurrency: number
  /** Its service times are so many times those of the fastest node there can be. */
  slowness: number
}

export interface FleetShape {
  readonly nodes: number
  /** All with concurrency 4 and one speed; else concurrency 1 to 8 and service times ×8^U(0,1). */
  readonly alike: boolean
  readonly seed: number
}

/** Mean service time of a job on the fastest node, seconds: a tenth of the design's, as all times here are. */
export const MEAN_SERVICE_SECONDS = 0.1

/** Starts the nodes in this process: they only wait and count, and their true load can be read at any time. */
export async function startFleet({ nodes, alike, seed }: FleetShape): Promise<BenchNode[]> {
  const random = seeded(seed * 7919)
  return Promise.all(
    Array.from({ length: nodes }, () => {
      const concurrency = alike ? 4 : 1 + Math.floor(random() * 8)
      const slowness = alike ? 1 : 8 ** random()
      return startNode(concurrency, slowness)
    }),
  )
}

export async function startNode(concurrency: number, slowness: number): Promise<BenchNode> {
  const sim = await startSimNode({
    ...{ containers: ['work'], concurrency, slowness, rateLimit: 0, streamLimit: 0, jobLimit: 0 },
    // The benchmark's own traffic is no test of the limits of a real server. Only what is recorded is told of.
    ...{ requestsPerConnection: 0, record: 1, recordBody: 0, keepFinished: 100_000 },
  })
  return { sim, concurrency, slowness }
}

/** Jobs a second that the fleet can do at the most. */
export function capacity(nodes: readonly BenchNode[]): number {
  return nodes.reduce((sum, { concurrency, slowness }) => sum + concurrency / (slowness * MEAN_SERVICE_SECONDS), 0)
}
