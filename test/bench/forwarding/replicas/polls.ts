import { setTimeout as sleep } from 'node:timers/promises'
import type { Gateway } from '../../../kit/gateway.ts'
import { addressOf } from '../client/connection.ts'
import { getRequest } from '../client/requests.ts'
import type { Cleanups } from '../../../kit/cleanups.ts'
import { JOBS_PATH } from '../contenders/contender.ts'
import { startGateway } from '../contenders/gateway.ts'
import { cpuSeconds } from '../cpu.ts'
import type { Findings } from '../findings.ts'
import { jobOfSeconds, startFleet } from '../fleet.ts'
import { load, openLoad, posting, type LoadResult } from '../load.ts'
import type { BenchOptions } from '../options.ts'
import { machine } from '../rounds.ts'
import { startGroup } from './group.ts'

const CLIENTS = 1000
/** Longer than the whole run. */
const JOB_SECONDS = 3600
const WARM_UP_SECONDS = 10
const ROUND_SECONDS = 6

/** Gateways that together have the jobs that are asked for. */
interface Polled {
  readonly gateways: readonly Gateway[]
  readonly ids: readonly string[]
}

/** What it costs all replicas that a thousand clients ask once a second for a job that runs, each at whichever replica. */
export async function measurePolls(cleanups: Cleanups, options: BenchOptions, findings: Findings): Promise<void> {
  const nodes = await startFleet(cleanups)
  const addresses = nodes.map(({ address }) => address)
  const several = await polled((await startGroup(cleanups, addresses)).gateways, options)
  const one = await polled([await startGateway(cleanups, addresses, 'sqlite')], options)
  const looksSoFar = async (): Promise<number> => {
    const counts = await Promise.all(nodes.map((node) => node.counts()))
    return counts.reduce((sum, { requests }) => sum + requests, 0)
  }
  const rounds: { several: number; one: number; looks: number }[] = []
  for (const each of [several, one]) await askAll(each, WARM_UP_SECONDS)
  for (let round = 0; round < options.openRounds; round++) {
    const idle = await cpuShareOf(several, () => sleep(ROUND_SECONDS * 1000))
    const looksBefore = await looksSoFar()
    const share = (await cpuShareOf(several, () => askAll(several, ROUND_SECONDS))) - idle
    const looks = ((await looksSoFar()) - looksBefore) / ROUND_SECONDS
    const idleOne = await cpuShareOf(one, () => sleep(ROUND_SECONDS * 1000))
    const shareOfOne = (await cpuShareOf(one, () => askAll(one, ROUND_SECONDS))) - idleOne
    rounds.push({ several: share, one: shareOfOne, looks })
  }
  const list = (what: keyof (typeof rounds)[number]): string => rounds.map((each) => each[what].toFixed(1)).join(', ')
  console.log(`${CLIENTS} running jobs asked for once a second; ${machine()}`)
  console.log(
    `More CPU than without, % of a core by round: ${list('several')} at three gateways with Redis, ${list('one')} at one with SQLite`,
  )
  console.log(`Requests to nodes a second meanwhile: ${list('looks')}\n`)
  findings.note(
    'pollCpu',
    rounds.map((each) => each.several),
    rounds.map((each) => each.one),
  )
}

/** Gives the gateways jobs that run for longer than all this takes. */
async function polled(gateways: readonly Gateway[], { connections }: BenchOptions): Promise<Polled> {
  const ids: string[] = []
  const heard = (answer: Buffer): unknown => ids.push((JSON.parse(answer.toString()) as { id: string }).id)
  for (const { url } of gateways) {
    const requests = Math.ceil(CLIENTS / gateways.length)
    await load({ ...posting(url + JOBS_PATH, jobOfSeconds(JOB_SECONDS)), heard }, connections, { requests })
  }
  return { gateways, ids }
}

/** Each replica gets its part of the questions, whoever has the job. */
async function askAll({ gateways, ids }: Polled, seconds: number): Promise<LoadResult[]> {
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
async function cpuShareOf({ gateways }: Polled, run: () => Promise<unknown>): Promise<number> {
  const used = (): number => gateways.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0)
  const [before, startedAt] = [used(), performance.now()]
  await run()
  return ((used() - before) / ((performance.now() - startedAt) / 1000)) * 100
}
