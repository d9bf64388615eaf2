/**
 * The longest turn of the event loop, in CPU time, while one request or one backend makes the gateway work: whoever else is
 * served waits for that long. Each scenario runs twice; the first time compiles.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { spawnGateway, type Gateway } from '../../../kit/gateway.ts'
import { Cleanups } from '../../../kit/cleanups.ts'
import { explorerOfDeadNodes } from '../hostile/deadNodes.ts'
import type { BenchOptions } from '../options.ts'
import { table } from '../report.ts'
import { CONTAINER, infoOf, startBackends, type Answering } from './backends.ts'
import { SCENARIOS, type Scenario } from './scenarios.ts'

const GOAL_MS = 25
/** How long polls are watched. */
const WATCH_MS = 5000
const NEVER_REACHED = '0'

interface Turns {
  readonly startMs: number
  readonly firstMs: number
  readonly secondMs: number
  readonly cpuSeconds: number
  readonly megabytes: number
  readonly statuses: readonly number[]
}

export async function measureTurns(_cleanups: Cleanups, { attack }: BenchOptions): Promise<void> {
  const rows: string[][] = []
  for (const scenario of SCENARIOS.filter(({ name }) => name.includes(attack))) {
    const own = new Cleanups()
    try {
      const { startMs, firstMs, secondMs, cpuSeconds, megabytes, statuses } = await measure(own, scenario)
      const ms = (value: number): string => value.toFixed(0) + (value > GOAL_MS ? ' !' : '')
      rows.push([
        scenario.name,
        ms(startMs),
        ms(firstMs),
        ms(secondMs),
        cpuSeconds.toFixed(1),
        megabytes.toFixed(0),
        statuses.join(' '),
      ])
    } catch (error) {
      rows.push([scenario.name, String(error).slice(0, 60), '', '', '', '', ''])
    } finally {
      await own.run()
    }
    console.error(rows.at(-1)?.join(' | '))
  }
  console.log(table(['longest turn, ms', 'start', 'first', 'second', 'CPU s', 'peak MB', 'answers'], rows))
}

async function measure(cleanups: Cleanups, scenario: Scenario): Promise<Turns> {
  const { nodes = 1, isService = false, deadNodes, deadLines, env, run } = scenario
  const isDead = deadNodes !== undefined || deadLines !== undefined
  const urls = isDead ? [] : await startBackends(cleanups, nodes, withDefaults(scenario.answering))
  const watch = new URL('watch.ts', import.meta.url).href
  const gateway = await spawnGateway(cleanups, {
    nodes: isService ? [] : urls,
    ipsLines: deadAddresses(deadLines ?? 0),
    ...(isService && { services: urls.map((url, n) => ({ name: `s${n}`, url })) }),
    env: {
      NODE_ENV: 'production',
      NODE_OPTIONS: `--import=${watch}`,
      LOG_LEVEL: 'info',
      PROXY_RATELIMIT_REQS_PER_MIN: NEVER_REACHED,
      READ_RATELIMIT_REQS_PER_MIN: NEVER_REACHED,
      RATELIMIT_REQS_PER_MIN: NEVER_REACHED,
      MAX_JOBS_PER_CALLER: NEVER_REACHED,
      STATE_URL: 'sqlite:data/gateway.db',
      ...(deadNodes !== undefined && {
        API_URL: await explorerOfDeadNodes(cleanups, deadNodes),
        DISCOVERY_ALLOW_PRIVATE: 'true',
        REFRESH_INTERVAL: '30',
      }),
      ...env,
    },
  })
  // What loading all modules took.
  await longestTurn(gateway)
  if (isDead) await sleep(WATCH_MS)
  else await gateway.ready(nodes, 60_000)
  const startMs = await longestTurn(gateway)
  const cpuBefore = cpuSeconds(gateway.pid)
  let statuses: number[] = []
  const watched = async (): Promise<number> => {
    if (run) statuses = await run(gateway)
    await sleep(run ? WATCH_MS / 4 : WATCH_MS)
    return longestTurn(gateway)
  }
  const firstMs = await watched()
  const secondMs = await watched()
  const megabytes = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${gateway.pid}/status`, 'utf8'))?.[1]) / 1024
  return { startMs, firstMs, secondMs, cpuSeconds: cpuSeconds(gateway.pid) - cpuBefore, megabytes, statuses }
}

const withDefaults =
  (answering: Answering = () => undefined): Answering =>
  (request) => {
    const own = answering(request)
    if (own !== undefined) return own
    if (request.url === '/info') return infoOf([CONTAINER])
    if (request.url === '/v1/models') return '{"data":[{"id":"m"}]}'
    if (request.url === '/api/jobs/batch') {
      const items = JSON.parse(request.body.toString()) as unknown[]
      return JSON.stringify(items.map(() => ({ id: crypto.randomUUID() })))
    }
    if (request.method === 'POST') return `{"id":"${crypto.randomUUID()}"}`
    return request.url.startsWith('/api/jobs') ? '[]' : undefined
  }

function deadAddresses(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `127.${200 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}:9`)
}

/** Since the last time. */
async function longestTurn(gateway: Gateway): Promise<number> {
  const isTold = ({ message }: { message?: string }): boolean => message === 'longest turn'
  const before = gateway.logs.filter(isTold).length
  gateway.signal('SIGUSR2')
  await gateway.waitForLog(() => gateway.logs.filter(isTold).length > before, 60_000)
  return Number(gateway.logs.filter(isTold).at(-1)?.['ms'])
}

/** User and system time of a process so far. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}
