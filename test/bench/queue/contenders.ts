import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../kit/wait.ts'
import { untilSaid, withUs } from '../children.ts'
import { keyOf, type Caller } from './client.ts'
import type { Engines } from './engines.ts'

const GATEWAY = fileURLToPath(new URL('../../../src/cli.ts', import.meta.url))
/** The router of the SGLang project: its command, from PyPI's `smg`. */
const SMG = process.env['SMG'] ?? 'smg'

/** Those `metrics` learn how many places their engines have from their /metrics; the others are given `concurrency`. */
export const CONTENDERS = ['gateway', 'metrics', 'no queue', 'metrics, no queue', 'smg'] as const
export type ContenderName = (typeof CONTENDERS)[number]

/** Something between clients and engines. */
export interface Contender {
  readonly origin: string
  readonly pid: number
  stop(): Promise<void>
}

/** Settings of the gateway beside the benchmark's usual ones. */
export type Settings = Readonly<Record<string, string>>

export function isInstalled(name: ContenderName): boolean {
  return name !== 'smg' || spawnSync(SMG, ['--help'], { stdio: 'ignore' }).error === undefined
}

/** Starts a contender and waits until it knows all engines. */
export async function startContender(
  name: ContenderName,
  engines: Engines,
  callers: readonly Caller[],
  settings: Settings,
): Promise<Contender> {
  const port = await freePort()
  const cwd = await mkdtemp(join(tmpdir(), 'queue-'))
  const child = withUs(
    name === 'smg'
      ? spawnSmg(engines, port, await freePort())
      : await spawnGateway(cwd, name, { engines, callers, settings, port }),
  )
  const origin = `http://127.0.0.1:${port}`
  const count = engines.urls.length
  if (name === 'smg') await untilSaid(child, `${origin}/readiness`, `"healthy_workers":${count}`)
  else await untilSaid(child, `${origin}/health`, `"healthy_services":"${count}/${count}"`)
  return {
    ...{ origin, pid: child.pid ?? 0 },
    stop: async () => {
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      await rm(cwd, { recursive: true, force: true })
    },
  }
}

/** With its own queue: no more requests at the engines than they have slots, and the gateway's default length and time. */
function spawnSmg(engines: Engines, port: number, metricsPort: number): ChildProcess {
  const address = ['--host', '127.0.0.1', '--port', `${port}`, '--prometheus-port', `${metricsPort}`]
  const queue = ['--max-concurrent-requests', `${engines.slots}`, '--queue-size', '1000', '--queue-timeout-secs', '60']
  const args = ['launch', '--worker-urls', ...engines.urls, '--policy', 'cache_aware', ...address, ...queue]
  return spawn(SMG, [...args, '--log-level', 'warn'], { stdio: 'ignore' })
}

interface GatewayParts {
  readonly engines: Engines
  readonly callers: readonly Caller[]
  readonly settings: Settings
  readonly port: number
}

async function spawnGateway(
  cwd: string,
  name: ContenderName,
  { engines, callers, settings, port }: GatewayParts,
): Promise<ChildProcess> {
  const concurrency = engines.slots / engines.urls.length
  const services = engines.urls.map((url, i) => ({
    ...{ name: `engine-${i}`, url },
    ...(!name.startsWith('metrics') && { concurrency }),
  }))
  const keys = callers.map((caller, i) => ({ name: `caller-${i}`, key: keyOf(i), requests_per_min: 0, ...caller }))
  await writeFile(join(cwd, 'services.json'), JSON.stringify(services))
  await writeFile(join(cwd, 'keys.json'), JSON.stringify(keys))
  return spawn(process.execPath, [GATEWAY], {
    cwd,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...{ PATH: process.env['PATH'] ?? '', PORT: `${port}`, HOST: '127.0.0.1', STATE_URL: 'memory:' },
      ...{ SERVICES_FILE: 'services.json', KEYS_FILE: 'keys.json', LOG_FORMAT: 'json', LOG_LEVEL: 'error' },
      ...settings,
      ...(name.endsWith('no queue') && { QUEUE_SIZE: '0' }),
    },
  })
}
