import { request } from '../../kit/http.ts'
import { eventually } from '../../kit/wait.ts'
import type { Cleanups } from '../../kit/cleanups.ts'
import { addressOf } from './client/connection.ts'
import { getRequest } from './client/requests.ts'
import { JOBS_PATH } from './contenders/contender.ts'
import { CONTENDERS, SHORT_WARM_UP, startPlainProxies } from './contenders/index.ts'
import { startGateway } from './contenders/gateway.ts'
import type { Findings } from './findings.ts'
import { JOB, jobOfSeconds, startFleet } from './fleet.ts'
import { load, openLoad, posting, type Source } from './load.ts'
import type { BenchOptions } from './options.ts'
import { cpuOfTurn, machine, p50OfTurn, p99OfTurn, Rounds, turnOf, turnTable, type Subject } from './rounds.ts'
import { seeded } from '../routing/random.ts'

const READS_PER_SECOND = 500
/** Longer than the whole run. */
const RUNNING_SECONDS = 3600
const RUNNING = 100
/** Jobs that have just ended: new ones for each turn. */
const FRESH = 100
/** Jobs that ended before anything was measured; more than are read in any turn. */
const OLD = 20_000
const CONNECTIONS = 32
/** Ids of one question after the ends of jobs. */
const IDS_AT_ONCE = 100

/** Jobs that are read by way of one proxy. */
interface Reading extends Subject {
  readonly url: string
  /** Renews the ids that are read. */
  readonly ids: () => Promise<readonly string[]>
  readonly isStock?: boolean
  readonly isCompiledAsItRuns: boolean
}

/** Reads of jobs in each state by way of the gateway, and of one that has ended at its node, directly and by way of others. */
export async function measureReads(cleanups: Cleanups, options: BenchOptions, findings: Findings): Promise<void> {
  const nodes = (await startFleet(cleanups, { keepFinished: 2 * OLD })).map((node) => node.address)
  const gateway = await startGateway(cleanups, nodes, 'sqlite')
  const own = await gatewayReadings(gateway.url + JOBS_PATH, gateway.pid)
  const others = await otherReadings(cleanups, nodes[0]!, options)
  const readings = [...Object.values(own), ...others]

  for (const reading of readings) {
    const seconds = reading.isCompiledAsItRuns ? options.shortWarmUpSeconds : SHORT_WARM_UP.seconds
    await load(await sourceOf(reading), options.connections, { seconds })
  }
  const rate = { perSecond: READS_PER_SECOND, seconds: options.openRoundSeconds }
  const rounds = await Rounds.run(readings, options.openRounds, async (reading) => {
    const source = await sourceOf(reading)
    return turnOf(reading.pid, () => openLoad(source, rate))
  })
  const stock = others.find(({ isStock }) => isStock)
  const about = `${READS_PER_SECOND} a second, ${options.openRounds} rounds of ${rate.seconds} s`
  console.log(`Read of one job by GET ${JOBS_PATH}?id=: ${about}; ${machine()}\n`)
  console.log(`${turnTable(rounds, { unit: 'read', base: stock, direct: others[0] })}\n`)

  const { finished, running, old } = own
  findings.note('readP50', rounds.values(finished, p50OfTurn), rounds.values(stock, p50OfTurn))
  findings.note('readP99', rounds.values(finished, p99OfTurn), rounds.values(stock, p99OfTurn))
  findings.note('readCpu', rounds.values(finished, cpuOfTurn), rounds.values(running, cpuOfTurn))
  findings.note('oldReadP50', rounds.values(old, p50OfTurn), rounds.values(stock, p50OfTurn))
  findings.note('oldReadP99', rounds.values(old, p99OfTurn), rounds.values(stock, p99OfTurn))
  findings.note('oldReadCpu', rounds.values(old, cpuOfTurn), rounds.values(running, cpuOfTurn))
}

async function gatewayReadings(url: string, pid: number): Promise<Record<'finished' | 'running' | 'old', Reading>> {
  const old = await endedJobs(url, OLD)
  const running = await submitted(url, jobOfSeconds(RUNNING_SECONDS), RUNNING)
  const common = { url, pid, isCompiledAsItRuns: true }
  return {
    finished: { ...common, name: 'gateway: job that has just ended', ids: () => endedJobs(url, FRESH) },
    running: { ...common, name: 'gateway: running job', ids: () => Promise.resolve(running) },
    old: { ...common, name: `gateway: one of ${OLD} that ended long ago`, ids: () => Promise.resolve(old) },
  }
}

/** The node first. All of them stand in front of a single one: they do not know which node has a job. */
async function otherReadings(cleanups: Cleanups, node: string, options: BenchOptions): Promise<Reading[]> {
  const direct = { name: 'no proxy', url: `http://${node}${JOBS_PATH}`, pid: undefined, contender: undefined }
  const proxies = await startPlainProxies(cleanups, [node], options)
  return [direct, ...proxies].map(({ name, url, pid, contender }) => ({
    name: `${name}: job that has ended`,
    url,
    pid,
    ids: () => endedJobs(url, FRESH),
    isStock: contender === CONTENDERS['stock'],
    isCompiledAsItRuns: contender?.isCompiledAsItRuns ?? false,
  }))
}

/** Reads one of the jobs each time, in random order. */
async function sourceOf({ url, ids }: Reading): Promise<Source> {
  const requests = (await ids()).map((id) => getRequest(`${url}?id=${id}`))
  const random = seeded(1)
  return { address: addressOf(url), next: () => requests[Math.floor(random() * requests.length)]! }
}

async function endedJobs(url: string, count: number): Promise<string[]> {
  const ids = await submitted(url, JOB, count)
  for (let from = 0; from < count; from += IDS_AT_ONCE) {
    const some = ids.slice(from, from + IDS_AT_ONCE)
    await eventually(() => haveEnded(url, some), { what: 'the end of all jobs', withinMs: 60_000, everyMs: 50 })
  }
  return ids
}

async function submitted(url: string, body: string, count: number): Promise<string[]> {
  const ids: string[] = []
  const heard = (answer: Buffer): unknown => ids.push((JSON.parse(answer.toString()) as { id: string }).id)
  const { errors } = await load({ ...posting(url, body), heard }, CONNECTIONS, { requests: count })
  if (errors > 0) throw new Error(`${errors} of ${count} jobs were not accepted`)
  return ids
}

async function haveEnded(url: string, ids: readonly string[]): Promise<boolean> {
  const query = ids.map((id) => `id=${id}`).join('&')
  const jobs = (await request(`${url}?${query}`)).json<{ status: string }[]>()
  return jobs.length === ids.length && jobs.every(({ status }) => status === 'success')
}
