/** Several gateways that share a Redis. */
import { redisMissing } from '../../../kit/redisServer.ts'
import type { Cleanups } from '../../../kit/cleanups.ts'
import type { Findings } from '../findings.ts'
import type { BenchOptions } from '../options.ts'
import { measureCost } from './cost.ts'
import { measureDeath } from './death.ts'
import { measureLooks } from './looks.ts'
import { measureOutage } from './outage.ts'
import { measurePolls } from './polls.ts'

export async function measureReplicas(cleanups: Cleanups, options: BenchOptions, findings: Findings): Promise<void> {
  if (redisMissing) return void console.log(`${redisMissing}\n`)
  for (const measure of [measureCost, measurePolls, measureOutage]) {
    await measure(cleanups, options, findings)
    await cleanups.run()
  }
  for (const measure of [measureLooks, measureDeath]) {
    await measure(cleanups, findings)
    await cleanups.run()
  }
}
