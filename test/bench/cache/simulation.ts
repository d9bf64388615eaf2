/** Prints what policies do with warm caches in simulated time: `node test/bench/cache/simulation.ts [seeds] [requests] [policy ...]`. */
import { simulateCaches, type CachePolicy, type CacheResult } from '../../kit/cacheSimulation/simulation.ts'
import { WORKLOADS, type WorkloadName } from '../../kit/cacheSimulation/workloads.ts'

const [seeds = '3', requests = '4000', ...policies] = process.argv.slice(2)
const contenders = (
  policies.length > 0
    ? policies
    : ['ours', 'ours without the index', 'least in flight', 'prefix hash', 'cache_aware', 'all-knowing']
) as CachePolicy[]

/** Mean over the seeds: seconds end to end, seconds to the first token, share of the prompts that was cached. */
function cell(workload: WorkloadName, policy: CachePolicy): string {
  const results = Array.from({ length: Number(seeds) }, (_, index) =>
    simulateCaches({ workload, policy, seed: index + 1, requests: Number(requests) }),
  )
  const mean = (of: (result: CacheResult) => number): number =>
    results.reduce((sum, result) => sum + of(result), 0) / results.length
  const seconds = mean(({ meanSeconds }) => meanSeconds).toFixed(2)
  const first = mean(({ meanFirstTokenSeconds }) => meanFirstTokenSeconds).toFixed(2)
  return `${seconds} (${first}, ${(100 * mean(({ hitRate }) => hitRate)).toFixed(0)} %)`
}

process.stdout.write('mean seconds (to the first token, share of the prompts that was cached)\n')
process.stdout.write(`${''.padEnd(16)}${contenders.map((name) => name.padEnd(24)).join('')}\n`)
for (const workload of Object.keys(WORKLOADS) as WorkloadName[]) {
  const cells = contenders.map((policy) => cell(workload, policy).padEnd(24))
  process.stdout.write(`${workload.padEnd(16)}${cells.join('')}\n`)
}
