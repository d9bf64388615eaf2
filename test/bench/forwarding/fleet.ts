import { spawnFakeNode, type SpawnedFakeNode } from '../../kit/fakeNode/index.ts'
import type { Cleanups } from './cleanups.ts'

const NODES = 3
const PROMPT_BYTES = 500

/** The body of every job: some 550 bytes. */
export const JOB = JSON.stringify({ containers: ['echo'], data: { prompt: 'x'.repeat(PROMPT_BYTES) } })

/**
 * Three simulated nodes as processes of their own, without limits, whose jobs end at once. Unlike real ones they never
 * close a connection unasked: proxies that do not know of that would fail now and then.
 */
export async function startFleet(cleanups: Cleanups): Promise<SpawnedFakeNode[]> {
  const nodes = await Promise.all(
    Array.from({ length: NODES }, () =>
      spawnFakeNode({
        rateLimit: 0,
        concurrency: 1_000_000,
        requestsPerConnection: 0,
        idleTimeout: 0,
        record: 0,
        watch: false,
      }),
    ),
  )
  for (const node of nodes) cleanups.after(() => node.kill())
  return nodes
}
