import { join } from 'node:path'
import { spawnGateway, type Gateway } from '../../../kit/gateway.ts'
import { request } from '../../../kit/http.ts'
import { redisMissing, startRedis } from '../../../kit/redisServer.ts'
import { eventually, tempDir } from '../../../kit/wait.ts'
import type { Cleanups } from '../../../kit/cleanups.ts'
import { JOBS_PATH, type Contender, type Running } from './contender.ts'

/** Limits are switched on, and never reached. */
const NEVER_REACHED = '1000000000'
const MOST_SECONDS_TO_SETTLE = 60

export const BENCH_ENV = {
  NODE_ENV: 'production',
  PROXY_RATELIMIT_REQS_PER_MIN: NEVER_REACHED,
  READ_RATELIMIT_REQS_PER_MIN: NEVER_REACHED,
  MAX_JOBS_PER_CALLER: NEVER_REACHED,
  REFRESH_INTERVAL: '30',
  LOG_LEVEL: 'info',
}

export type LedgerKind = 'sqlite' | 'memory' | 'redis'

const NOTE = 'limits on (out of reach), every job recorded and followed to its end'

/** The gateway as shipped, but for limits that one benchmarking caller would reach. */
export function gatewayWith(ledger: LedgerKind): Contender {
  return {
    name: `gateway, ${ledger} ledger`,
    note: ledger === 'redis' ? `${NOTE}; without the CPU of Redis itself` : NOTE,
    isCompiledAsItRuns: true,
    version: () => (ledger === 'redis' && redisMissing ? undefined : 'this one'),
    start: async (cleanups, nodes) => runningGateway(await startGateway(cleanups, nodes, ledger)),
  }
}

/** The same with several processes on one ledger; their CPU is that of all of them. */
export function gatewayWithWorkers(count: number): Contender {
  return {
    name: `gateway, ${count} workers`,
    note: `${NOTE}; SQLite`,
    isCompiledAsItRuns: true,
    version: () => 'this one',
    start: async (cleanups, nodes) =>
      runningGateway(await startGateway(cleanups, nodes, 'sqlite', { WORKERS: String(count) })),
  }
}

export async function startGateway(
  cleanups: Cleanups,
  nodes: readonly string[],
  ledger: LedgerKind,
  env: Record<string, string> = {},
): Promise<Gateway> {
  const gateway = await spawnGateway(cleanups, {
    nodes,
    env: {
      ...BENCH_ENV,
      STATE_URL: await stateUrl(cleanups, ledger),
      ...env,
    },
  })
  await gateway.ready(nodes.length)
  return gateway
}

async function stateUrl(cleanups: Cleanups, ledger: LedgerKind): Promise<string> {
  if (ledger === 'memory') return 'memory:'
  if (ledger === 'sqlite') return `sqlite:${join(await tempDir(cleanups, 'gateway-bench-'), 'gateway.db')}`
  return (await startRedis(cleanups, { appendOnly: true })).url()
}

function runningGateway(gateway: Gateway): Running {
  return {
    pid: gateway.pid,
    url: gateway.url + JOBS_PATH,
    settle: () => allJobsEnded(gateway),
  }
}

/** Waits until the gateway has heard of the end of every job; returns how many it has recorded. */
export async function allJobsEnded(gateway: Gateway): Promise<number> {
  const look = async (): Promise<{ recorded: number } | undefined> => {
    const { jobs } = (await request(`${gateway.url}/stats`)).json<{ jobs: { unfinished: number; recorded: number } }>()
    return jobs.unfinished === 0 ? jobs : undefined
  }
  const withinMs = MOST_SECONDS_TO_SETTLE * 1000
  const { recorded } = await eventually(look, { withinMs, everyMs: 100, what: 'the end of all jobs' })
  return recorded
}
