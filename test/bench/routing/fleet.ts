import type { LocalFakeNode } from '../../kit/fakeNode/index.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { MEAN_SERVICE_SECONDS, ONE_KIND, type Mix } from './arrivals.ts'
import { seeded } from './random.ts'

/** A fake node, and what is really true of it. */
export interface BenchNode {
  readonly sim: LocalFakeNode
  readonly concurrency: number
  /** Its service times are so many times those of the fastest node there can be. */
  slowness: number
  /** The same for each kind of work, by its container, on top of that. */
  readonly slownessAt: Readonly<Record<string, number>>
}

export interface FleetShape {
  readonly nodes: number
  /** All with concurrency 4 and one speed; else concurrency 1 to 8 and service times ×8^U(0,1). */
  readonly alike: boolean
  readonly seed: number
  readonly mix: Mix
  /** Each node takes twice or half as long as usual for each kind, at random. */
  readonly differByKind: boolean
}

/** Starts the nodes in this process: they only wait and count, and their true load can be read at any time. */
export async function startFleet({ nodes, alike, seed, mix, differByKind }: FleetShape): Promise<BenchNode[]> {
  const random = seeded(seed * 7919)
  return Promise.all(
    Array.from({ length: nodes }, () => {
      const concurrency = alike ? 4 : 1 + Math.floor(random() * 8)
      const slowness = alike ? 1 : 8 ** random()
      const slownessAt = Object.keys(mix).map((id) => [id, differByKind ? (random() < 0.5 ? 0.5 : 2) : 1] as const)
      return startNode(concurrency, slowness, Object.fromEntries(slownessAt))
    }),
  )
}

export async function startNode(
  concurrency: number,
  slowness: number,
  slownessAt: Readonly<Record<string, number>> = ONE_KIND,
): Promise<BenchNode> {
  const sim = await startFakeNode({
    containers: Object.entries(slownessAt).map(([id, itsSlowness]) => ({ id, slowness: itsSlowness })),
    ...{ concurrency, slowness, rateLimit: 0, streamLimit: 0, jobLimit: 0 },
    // The benchmark's own traffic is no test of the limits of a real server. Only what is recorded is told of.
    ...{ requestsPerConnection: 0, record: 1, recordBody: 0, keepFinished: 100_000 },
  })
  return { sim, concurrency, slowness, slownessAt }
}

/** Jobs a second that the fleet can do if each node gets its share of all kinds. */
export function capacity(nodes: readonly BenchNode[], mix: Mix): number {
  return nodes.reduce((sum, { concurrency, slowness, slownessAt }) => {
    const kinds = Object.entries(mix)
    const perJob = kinds.reduce((all, [id, size]) => all + size * (slownessAt[id] ?? 1), 0) / kinds.length
    return sum + concurrency / (slowness * MEAN_SERVICE_SECONDS * perJob)
  }, 0)
}
