/**
 * What one hostile caller does to the others: while an attack runs, other callers post jobs and `/livez` is asked, and the
 * gateway's memory is watched. Every limit stands at its default, but for a ledger of 5 MB in the last one.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Gateway } from '../../../kit/gateway.ts'
import { spawnGateway } from '../../../kit/gateway.ts'
import { post, request } from '../../../kit/http.ts'
import { Cleanups } from '../../../kit/cleanups.ts'
import { JOB, startFleet } from '../fleet.ts'
import type { BenchOptions } from '../options.ts'
import { quantile, table } from '../report.ts'
import { ATTACKS } from './attacks.ts'
import { explorerOfDeadNodes } from './deadNodes.ts'

const SECONDS = 10
/** Other callers: so many addresses, each with so many jobs a second, half of what one may. */
const VICTIMS = 4
const JOBS_PER_SECOND = 5
const LIVEZ_MS = 20
const BUDGET_MB = 512
const GOALS = { jobMs: 250, livezMs: 100, megabytes: BUDGET_MB + 250 }

interface Result {
  readonly name: string
  readonly jobMs: readonly number[]
  readonly livezMs: readonly number[]
  readonly failed: number
  readonly peakMegabytes: number
  readonly attacker: string
}

export async function measureHostile(cleanups: Cleanups, { attack }: BenchOptions): Promise<void> {
  const names = ['no attack', ...Object.keys(ATTACKS), DEAD_FLEET].filter((name) => name.includes(attack))
  const honest = (await startFleet(cleanups)).map(({ address }) => address)
  const hostile = await startHostileNode(cleanups)
  const results: Result[] = []
  for (const name of names) {
    const own = new Cleanups()
    try {
      results.push(await measure(own, name, honest, hostile))
    } finally {
      await own.run()
    }
  }
  console.log(report(results))
}

const DEAD_FLEET = '40,000 dead nodes from the explorer'

async function measure(cleanups: Cleanups, name: string, honest: readonly string[], hostile: string): Promise<Result> {
  const env: Record<string, string> = {
    NODE_ENV: 'production',
    STATE_URL: 'sqlite:data/gateway.db',
    REFRESH_INTERVAL: '30',
    LOG_LEVEL: 'info',
    ...(name.includes('ledger') && { STATE_MAX_BYTES: '5mb' }),
    ...(name === DEAD_FLEET && {
      API_URL: await explorerOfDeadNodes(cleanups, 40_000),
      DISCOVERY_ALLOW_PRIVATE: 'true',
    }),
  }
  const gateway = await spawnGateway(cleanups, {
    nodes: [...honest, hostile],
    services: [{ name: 'hostile', url: `http://${hostile}` }],
    env,
  })
  if (name === DEAD_FLEET) await sleep(1000)
  else await gateway.ready(honest.length + 2)
  const attack = ATTACKS[name] ? runAttacker(gateway.port, name) : Promise.resolve('')
  const over = sleep(SECONDS * 1000)
  const [jobs, livezMs, attacker] = await Promise.all([postJobs(gateway, over), askLivez(gateway, over), attack])
  return { name, ...jobs, livezMs, attacker, peakMegabytes: peakMegabytes(gateway.pid) }
}

async function runAttacker(port: number, name: string): Promise<string> {
  const file = fileURLToPath(new URL('attacker.ts', import.meta.url))
  const child = spawn(process.execPath, [file, String(port), String(SECONDS), name], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (bytes: Buffer) => (output += bytes.toString()))
  await once(child, 'close')
  return output.trim()
}

/** Jobs of other callers at a steady rate, whatever becomes of those before. */
async function postJobs(gateway: Gateway, over: Promise<void>): Promise<{ jobMs: number[]; failed: number }> {
  const jobMs: number[] = []
  let failed = 0
  const pending: Promise<void>[] = []
  await everyMs(1000 / (VICTIMS * JOBS_PER_SECOND), over, (n) => {
    const startedAt = performance.now()
    const asked = post(`${gateway.url}/api/jobs`, JOB, {
      headers: { 'Content-Type': 'application/json' },
      localAddress: `127.0.0.${2 + (n % VICTIMS)}`,
      timeoutMs: 60_000,
    })
    pending.push(
      asked.then(
        ({ status }) => {
          jobMs.push(performance.now() - startedAt)
          if (status !== 200) failed++
        },
        () => void failed++,
      ),
    )
  })
  await Promise.all(pending)
  return { jobMs, failed }
}

async function askLivez(gateway: Gateway, over: Promise<void>): Promise<number[]> {
  const times: number[] = []
  const pending: Promise<void>[] = []
  await everyMs(LIVEZ_MS, over, () => {
    const startedAt = performance.now()
    const asked = request(`${gateway.url}/livez`, { timeoutMs: 60_000 })
    pending.push(
      asked.then(
        () => void times.push(performance.now() - startedAt),
        () => void times.push(60_000),
      ),
    )
  })
  await Promise.all(pending)
  return times
}

async function everyMs(ms: number, over: Promise<void>, act: (n: number) => void): Promise<void> {
  let n = 0
  const timer = setInterval(() => act(n++), ms)
  await over
  clearInterval(timer)
}

async function startHostileNode(cleanups: Cleanups): Promise<string> {
  const file = fileURLToPath(new URL('hostileNode.ts', import.meta.url))
  const child = spawn(process.execPath, [file], { stdio: ['pipe', 'pipe', 'inherit'] })
  cleanups.after(() => child.kill())
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  return `127.0.0.1:${(JSON.parse(line) as { port: number }).port}`
}

/** The most that was resident at once, in MB (proc(5), VmHWM). */
function peakMegabytes(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
}

function report(results: readonly Result[]): string {
  const rows = results.map(({ name, jobMs, livezMs, failed, peakMegabytes, attacker }) => {
    const [job, livez] = [quantile(jobMs, 0.99), quantile(livezMs, 0.99)]
    const isMet = job < GOALS.jobMs && livez < GOALS.livezMs && peakMegabytes < GOALS.megabytes && failed === 0
    const figures = [quantile(jobMs, 0.5), job, livez, Math.max(...livezMs)].map((ms) => ms.toFixed(1))
    return [name, ...figures, String(failed), peakMegabytes.toFixed(0), isMet ? 'yes' : 'no', attacker]
  })
  const head = [
    'attack by one caller',
    'job p50 ms',
    'job p99 ms',
    '/livez p99 ms',
    '/livez max ms',
    'failed',
    'peak MB',
  ]
  return [
    `Other callers during an attack of ${SECONDS} s. Goals: job p99 < ${GOALS.jobMs} ms, /livez p99 < ${GOALS.livezMs} ms,`,
    `peak < ${GOALS.megabytes} MB, no other caller's job refused.\n`,
    table([...head, 'met', 'what the attacker got'], rows),
    '',
  ].join('\n')
}
