import { setTimeout as sleep } from 'node:timers/promises'
import type { Cleanups } from '../../kit/cleanups.ts'
import { addressOf } from './client/connection.ts'
import { liveJob, type Life, type Manner } from './client/jobClient.ts'
import { ConnectionPool } from './client/pool.ts'
import { JOBS_PATH } from './contenders/contender.ts'
import { allJobsEnded, startGateway } from './contenders/gateway.ts'
import type { Findings } from './findings.ts'
import { JOB, jobOfSeconds, startFleet } from './fleet.ts'
import type { LineName } from './goals.ts'
import { load, posting } from './load.ts'
import type { BenchOptions } from './options.ts'
import { median, quantile, table } from './report.ts'
import { Rounds, type Subject } from './rounds.ts'
import { seeded } from '../routing/random.ts'

const JOB_SECONDS = 0.05
const EVERY_MS = 50
const PREFER = 'Prefer: wait=30'
/** What a node takes of one client in a minute. */
const NODE_LIMIT = 600
/** Each with an address, and thereby a limit, of its own, and one job at a time. */
const CLIENTS = 20
const ROUNDS = 2
/** Between a client's jobs, at most; half of it on average. */
const PAUSE_MS = 1000

interface Way extends Subject {
  /** Where a client submits its jobs. */
  readonly urlOf: (client: number) => string
  readonly manner: Manner
  readonly line?: LineName
}

/** How soon clients see the end of a short job that nodes with limits do. */
export async function measureSeen(cleanups: Cleanups, options: BenchOptions, findings: Findings): Promise<void> {
  const fleet = await startFleet(cleanups)
  const nodes = fleet.map(({ address }) => address)
  const gateway = await startGateway(cleanups, nodes, 'sqlite')
  const url = gateway.url + JOBS_PATH
  // Without limits, so that they are out of reach of the warm-up.
  await load(posting(url, JOB), options.connections, options.warmUp)
  await allJobsEnded(gateway)
  for (const node of fleet) await node.command({ do: 'set', settings: { rateLimit: NODE_LIMIT } })

  const direct: Way = {
    name: 'node itself, asked every 50 ms',
    pid: undefined,
    manner: { everyMs: EVERY_MS },
    urlOf: (client) => `http://${nodes[client % nodes.length]}${JOBS_PATH}`,
  }
  const ways = [...gatewayWays(url, gateway.pid), direct]
  let turns = 0
  const rounds = await Rounds.run(ways, ROUNDS, (way) => livesOf(way, turns++, options.shortJobs))

  const jobs = CLIENTS * options.shortJobs
  console.log(
    `How long after its submission a job of ${JOB_SECONDS * 1000} ms is seen to have ended: nodes limited to ${NODE_LIMIT} ` +
      `requests a minute of each client, ${CLIENTS} clients of one job at a time, ${ROUNDS} rounds of ${jobs} jobs\n`,
  )
  const head = ['by way of', 'p50 ms', 'p95 ms', 'p99 ms', 'reads of a job', 'errors']
  console.log(
    `${table(
      head,
      ways.map((way) => rowOf(way.name, rounds.of(way).flat())),
    )}\n`,
  )
  for (const way of ways) {
    if (way.line) findings.note(way.line, rounds.values(way, secondsOf), rounds.values(direct, secondsOf))
  }
}

function gatewayWays(url: string, pid: number): Way[] {
  const common = { pid, urlOf: () => url }
  const waiting = (waitsOn: 'read' | 'submission'): Manner => ({ everyMs: EVERY_MS, waitsOn })
  return [
    { ...common, name: 'gateway, asked every 50 ms', manner: { everyMs: EVERY_MS }, line: 'seenAsking' },
    { ...common, name: `gateway, ${PREFER} on the read`, manner: waiting('read'), line: 'seenReadWait' },
    { ...common, name: `gateway, ${PREFER} on submission`, manner: waiting('submission'), line: 'seenSubmitWait' },
  ]
}

/** Clients whose addresses no other turn has used: their limits are untouched. */
async function livesOf({ urlOf, manner }: Way, turn: number, jobs: number): Promise<Life[]> {
  const body = jobOfSeconds(JOB_SECONDS)
  const livesOfClient = async (client: number): Promise<Life[]> => {
    const url = urlOf(client)
    const random = seeded(client)
    const pool = new ConnectionPool(addressOf(url, `127.1.${turn}.${client + 1}`))
    const lives: Life[] = []
    for (let job = 0; job < jobs; job++) {
      await sleep(random() * PAUSE_MS)
      lives.push(await liveJob(pool, url, body, manner))
    }
    pool.close()
    return lives
  }
  return (await Promise.all(Array.from({ length: CLIENTS }, (_, client) => livesOfClient(client)))).flat()
}

function secondsOf(lives: readonly Life[]): number {
  return median(lives.map(({ seenAfterMs }) => seenAfterMs)) / 1000
}

function rowOf(name: string, lives: readonly Life[]): string[] {
  const seenMs = lives.map(({ seenAfterMs }) => seenAfterMs)
  const mean = (of: (life: Life) => number): number => lives.reduce((sum, life) => sum + of(life), 0) / lives.length
  return [
    name,
    ...[0.5, 0.95, 0.99].map((share) => quantile(seenMs, share).toFixed(1)),
    mean(({ reads }) => reads).toFixed(2),
    String(lives.reduce((sum, { errors }) => sum + errors, 0)),
  ]
}
