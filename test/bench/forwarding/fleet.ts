import { spawnFakeNode, type SpawnedFakeNode } from '../../kit/fakeNode/index.ts'
import type { Cleanups } from '../../kit/cleanups.ts'

const NODES = 3
const PROMPT_BYTES = 500

/** The body of every job that ends at once: some 550 bytes. */
export const JOB = jobOf({})

/** The same of a job that takes so many seconds. */
export function jobOfSeconds(seconds: number): string {
  return jobOf({ seconds })
}

function jobOf(script: object): string {
  return JSON.stringify({ containers: ['echo'], data: { ...script, prompt: 'x'.repeat(PROMPT_BYTES) } })
}

interface FleetOptions {
  /** Requests a minute for each client and endpoint; by default there is no limit. */
  readonly rateLimit?: number
  /** Finished jobs that each node remembers. */
  readonly keepFinished?: number
}

/**
 * Three simulated nodes as processes of their own that run any number of jobs at once. Unlike real ones they never close a
 * connection unasked: proxies that do not know of that would fail now and then.
 */
export async function startFleet(cleanups: Cleanups, options: FleetOptions = {}): Promise<SpawnedFakeNode[]> {
  const nodes = await Promise.all(
    Array.from({ length: NODES }, () =>
      spawnFakeNode({
        rateLimit: 0,
        concurrency: 1_000_000,
        requestsPerConnection: 0,
        idleTimeout: 0,
        jobLimit: 0,
        record: 0,
        watch: false,
        ...options,
      }),
    ),
  )
  for (const node of nodes) cleanups.after(() => node.kill())
  return nodes
}
