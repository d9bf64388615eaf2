import { addressOf } from '../client/connection.ts'
import { getRequest } from '../client/requests.ts'
import type { Cleanups } from '../cleanups.ts'
import { JOBS_PATH } from '../contenders/contender.ts'
import { cpuSeconds } from '../cpu.ts'
import type { Findings } from '../findings.ts'
import { jobOfSeconds, startFleet } from '../fleet.ts'
import { load, openLoad, posting, type LoadResult } from '../load.ts'
import type { BenchOptions } from '../options.ts'
import { machine } from '../rounds.ts'
import { startGroup, type Group } from './group.ts'

const CLIENTS = 1000
/** Longer than the whole run. */
const JOB_SECONDS = 3600
const WARM_UP_SECONDS = 10
const ROUND_SECONDS = 6

/** What it costs all replicas that a thousand clients ask once a second for a job that runs, each at whichever replica. */
export async function measurePolls(cleanups: Cleanups, options: BenchOptions, findings: Findings): Promise<void> {
  const nodes = (await startFleet(cleanups)).map(({ address }) => address)
  const group = await startGroup(cleanups, nodes)
  const ids: string[] = []
  const heard = (answer: Buffer): unknown => ids.push((JSON.parse(answer.toString()) as { id: string }).id)
  for (const { url } of group.gateways) {
    const requests = Math.ceil(CLIENTS / group.gateways.length)
    await load({ ...posting(url + JOBS_PATH, jobOfSeconds(JOB_SECONDS)), heard }, options.connections, { requests })
  }
  await askAll(group, ids, WARM_UP_SECONDS)
  const shares: number[] = []
  const idle: number[] = []
  for (let round = 0; round < options.openRounds; round++) {
    idle.push(await cpuShareOf(group, () => new Promise((resolve) => setTimeout(resolve, ROUND_SECONDS * 1000))))
    shares.push(await cpuShareOf(group, () => askAll(group, ids, ROUND_SECONDS)))
  }
  const percent = (values: readonly number[]): string => values.map((value) => value.toFixed(1)).join(', ')
  console.log(`${CLIENTS} running jobs asked for once a second, at three gateways; ${machine()}`)
  console.log(`CPU of all gateways, % of a core by round: ${percent(shares)}; without the polls: ${percent(idle)}\n`)
  findings.note(
    'pollCpu',
    shares.map((share, round) => share - idle[round]!),
  )
}

/** Each replica gets its part of the questions, whoever has the job. */
async function askAll({ gateways }: Group, ids: readonly string[], seconds: number): Promise<LoadResult[]> {
  return Promise.all(
    gateways.map(({ url }, replica) => {
      const requests = ids.map((id) => getRequest(`${url}${JOBS_PATH}?id=${id}`))
      let next = replica * 7
      const source = { address: addressOf(url), next: () => requests[next++ % requests.length]! }
      return openLoad(source, { perSecond: CLIENTS / gateways.length, seconds })
    }),
  )
}

/** Percent of one core that the replicas use meanwhile. */
async function cpuShareOf({ gateways }: Group, run: () => Promise<unknown>): Promise<number> {
  const used = (): number => gateways.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0)
  const [before, startedAt] = [used(), performance.now()]
  await run()
  return ((used() - before) / ((performance.now() - startedAt) / 1000)) * 100
}
