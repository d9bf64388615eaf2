import type { Cleanups } from '../../../kit/cleanups.ts'
import { CONTENDERS, startContenders, warmUp } from '../contenders/index.ts'
import type { Findings } from '../findings.ts'
import { JOB, startFleet } from '../fleet.ts'
import { load, posting } from '../load.ts'
import type { BenchOptions } from '../options.ts'
import { cpuOfTurn, machine, Rounds, turnOf, turnTable } from '../rounds.ts'

/** What a job costs the gateway, by the ledger in which it is recorded. */
export async function measureCost(cleanups: Cleanups, options: BenchOptions, findings: Findings): Promise<void> {
  const nodes = (await startFleet(cleanups)).map(({ address }) => address)
  const all = await startContenders(cleanups, nodes, { ...options, contenders: ['sqlite', 'redis', 'workers'] })
  for (const each of all) await warmUp(each, options)
  const { connections, rounds: count, roundSeconds: seconds } = options
  const rounds = await Rounds.run(all, count, ({ pid, url, running }) =>
    turnOf(
      pid,
      () => load(posting(url, JOB), connections, { seconds }),
      async () => running.settle?.(),
    ),
  )
  const [sqlite, redis] = ['sqlite', 'redis'].map((name) => all.find(({ contender }) => contender === CONTENDERS[name]))
  console.log(`POST /api/jobs: ${connections} connections, ${count} rounds of ${seconds} s; ${machine()}\n`)
  console.log(`${turnTable(rounds, { unit: 'job', base: sqlite }).replace('of stock', 'of SQLite')}\n`)
  findings.note('redisCpu', rounds.values(redis, cpuOfTurn), rounds.values(sqlite, cpuOfTurn))
}
