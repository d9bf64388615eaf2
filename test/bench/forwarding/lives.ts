import type { Cleanups } from '../../kit/cleanups.ts'
import { poissonArrivals } from './client/arrivals.ts'
import { addressOf } from './client/connection.ts'
import { liveJob, type Life, type Manner } from './client/jobClient.ts'
import { ConnectionPool } from './client/pool.ts'
import { getRequest } from './client/requests.ts'
import { CONTENDERS, startPlainProxies, warmUp } from './contenders/index.ts'
import type { Started } from './contenders/index.ts'
import type { Findings } from './findings.ts'
import { JOB, jobOfSeconds, startFleet } from './fleet.ts'
import type { LineName } from './goals.ts'
import { load, type LoadResult } from './load.ts'
import type { BenchOptions } from './options.ts'
import { table } from './report.ts'
import { cpuOfTurn, machine, Rounds, turnOf, turnTable, type Subject } from './rounds.ts'

const JOB_SECONDS = 2
const JOBS_PER_SECOND = 100
const EVERY_MS = 1000
const PREFER = 'Prefer: wait=30'

/** Clients that behave in one way towards one proxy. */
interface Clients extends Subject {
  readonly proxy: Started
  readonly manner: Manner
  readonly line?: LineName
  /** Reads of each job, over all turns. */
  readonly reads: number[]
}

/** CPU of a job of two seconds from its submission until its client has seen its end. */
export async function measureLives(cleanups: Cleanups, options: BenchOptions, findings: Findings): Promise<void> {
  const nodes = (await startFleet(cleanups)).map((node) => node.address)
  const running = await CONTENDERS['sqlite']!.start(cleanups, nodes)
  const gateway: Started = { name: 'gateway', ...running, contender: CONTENDERS['sqlite']!, running }
  // In front of a single node: they do not know which one has a job.
  const others = await startPlainProxies(cleanups, nodes.slice(0, 1), options)
  const clients = [...gatewayClients(gateway), ...others.map((proxy) => askingEverySecond(proxy))]
  const stock = clients.find(({ proxy }) => proxy.contender === CONTENDERS['stock'])

  for (const proxy of [gateway, ...others]) await warmUpWithReads(proxy, options)
  for (const each of clients) await liveMany(each, JOB, 1)
  for (const each of clients) each.reads.length = 0
  const { lifeRounds, lifeSeconds } = options
  const body = jobOfSeconds(JOB_SECONDS)
  const rounds = await Rounds.run(clients, lifeRounds, (each) =>
    turnOf(each.pid, () => liveMany(each, body, lifeSeconds)),
  )
  const about = `${JOBS_PER_SECOND} jobs a second for ${lifeSeconds} s, ${lifeRounds} rounds`
  console.log(`Whole life of a job of ${JOB_SECONDS} s: ${about}; ${machine()}`)
  console.log('Times are those from the submission until the client has seen the end.\n')
  console.log(`${turnTable(rounds, { unit: 'job', base: stock })}\n`)
  console.log(`${table(['reads of a job', 'mean'], clients.map(readsRow))}\n`)
  for (const each of clients) {
    if (each.line) findings.note(each.line, rounds.values(each, cpuOfTurn), rounds.values(stock, cpuOfTurn))
  }
}

function gatewayClients(gateway: Started): Clients[] {
  const { name, pid } = gateway
  const common = { pid, proxy: gateway }
  const waiting = (waitsOn: 'read' | 'submission'): Manner => ({ everyMs: EVERY_MS, waitsOn })
  return [
    { ...askingEverySecond(gateway), line: 'lifeAsking' },
    { ...common, name: `${name}, ${PREFER} on the read`, manner: waiting('read'), line: 'lifeReadWait', reads: [] },
    {
      ...common,
      name: `${name}, ${PREFER} on submission`,
      manner: waiting('submission'),
      line: 'lifeSubmitWait',
      reads: [],
    },
  ]
}

function askingEverySecond(proxy: Started): Clients {
  const { name, pid } = proxy
  return { name: `${name}, asked once a second`, pid, proxy, manner: { everyMs: EVERY_MS }, reads: [] }
}

async function warmUpWithReads(proxy: Started, options: BenchOptions): Promise<void> {
  await warmUp(proxy, options)
  await proxy.running.settle?.()
  const address = addressOf(proxy.url)
  const pool = new ConnectionPool(address)
  const { id } = await liveJob(pool, proxy.url, JOB, { everyMs: EVERY_MS })
  pool.close()
  const request = getRequest(`${proxy.url}?id=${id}`)
  await load({ address, next: () => request }, options.connections, { seconds: options.shortWarmUpSeconds })
}

/** Resolves when the end of every job has been seen, and the gateway has nothing more to do for them. */
async function liveMany({ proxy, manner, reads }: Clients, body: string, seconds: number): Promise<LoadResult> {
  const pool = new ConnectionPool(addressOf(proxy.url))
  const startedAt = performance.now()
  const lives: Promise<Life>[] = []
  await poissonArrivals({ perSecond: JOBS_PER_SECOND, seconds }, () => {
    lives.push(liveJob(pool, proxy.url, body, manner))
  })
  const ended = await Promise.all(lives)
  await proxy.running.settle?.()
  pool.close()
  for (const life of ended) reads.push(life.reads)
  return {
    requests: ended.length,
    errors: ended.reduce((sum, { errors }) => sum + errors, 0),
    seconds: (performance.now() - startedAt) / 1000,
    latenciesMs: ended.map(({ seenAfterMs }) => seenAfterMs),
  }
}

function readsRow({ name, reads }: Clients): string[] {
  return [name, (reads.reduce((sum, count) => sum + count, 0) / reads.length).toFixed(2)]
}
