import { join } from 'node:path'
import { spawnGateway, type Gateway } from '../../../kit/gateway.ts'
import { request } from '../../../kit/http.ts'
import { eventually, tempDir } from '../../../kit/wait.ts'
import type { Cleanups } from '../cleanups.ts'
import { JOBS_PATH, type Contender, type Running } from './contender.ts'

/** Limits are switched on, and never reached. */
const NEVER_REACHED = '1000000000'
const MOST_SECONDS_TO_SETTLE = 60

export type LedgerKind = 'sqlite' | 'memory'

/** The gateway as shipped, but for limits that one benchmarking caller would reach. */
export function gatewayWith(ledger: LedgerKind): Contender {
  return {
    name: `gateway, ${ledger} ledger`,
    note: 'limits on (out of reach), every job recorded and followed to its end',
    isCompiledAsItRuns: true,
    version: () => 'this one',
    start: async (cleanups, nodes) => runningGateway(await startGateway(cleanups, nodes, ledger)),
  }
}

export async function startGateway(
  cleanups: Cleanups,
  nodes: readonly string[],
  ledger: LedgerKind,
  env: Record<string, string> = {},
): Promise<Gateway> {
  const directory = await tempDir(cleanups, 'gateway-bench-')
  const gateway = await spawnGateway(cleanups, {
    nodes,
    env: {
      NODE_ENV: 'production',
      STATE_URL: ledger === 'memory' ? 'memory:' : `sqlite:${join(directory, 'gateway.db')}`,
      PROXY_RATELIMIT_REQS_PER_MIN: NEVER_REACHED,
      READ_RATELIMIT_REQS_PER_MIN: NEVER_REACHED,
      MAX_JOBS_PER_CALLER: NEVER_REACHED,
      REFRESH_INTERVAL: '30',
      LOG_LEVEL: 'info',
      ...env,
    },
  })
  await gateway.ready(nodes.length)
  return gateway
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
