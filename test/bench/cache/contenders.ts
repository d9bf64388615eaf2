import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../kit/wait.ts'
import { untilSaid, withUs } from '../children.ts'
import type { Fleet } from './fleet.ts'
import type { GatewayName } from './gateways.ts'

const GATEWAY = fileURLToPath(new URL('gatewayMain.ts', import.meta.url))
/** Of SMG, the router of the SGLang project: its command, from PyPI's `smg`. */
const SMG = process.env['SMG'] ?? 'smg'
/** Of the gateway, simulated. */
const POLL_SECONDS = 30

export type ContenderName = GatewayName | 'smg'

/** Something between clients and engines. */
export interface Contender {
  readonly origin: string
  readonly pid: number
  stop(): Promise<void>
}

export function isInstalled(name: ContenderName): boolean {
  return name !== 'smg' || spawnSync(SMG, ['--help'], { stdio: 'ignore' }).error === undefined
}

/** Starts a contender and waits until it knows all engines. */
export async function startContender(name: ContenderName, fleet: Fleet): Promise<Contender> {
  const { urls } = fleet
  const port = await freePort()
  const cwd = await mkdtemp(join(tmpdir(), 'cache-'))
  const child = withUs(
    name === 'smg' ? spawnSmg(urls, port, await freePort()) : await spawnGateway(name, fleet, port, cwd),
  )
  const origin = `http://127.0.0.1:${port}`
  const [path, sign] =
    name === 'smg'
      ? ['/readiness', `"healthy_workers":${urls.length}`]
      : ['/health', `"healthy_services":"${urls.length}/${urls.length}"`]
  await untilSaid(child, origin + path, sign)
  return {
    ...{ origin, pid: child.pid ?? 0 },
    stop: async () => {
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      await rm(cwd, { recursive: true, force: true })
    },
  }
}

function spawnSmg(urls: readonly string[], port: number, metricsPort: number): ChildProcess {
  const address = ['--host', '127.0.0.1', '--port', `${port}`, '--prometheus-port', `${metricsPort}`]
  const args = ['launch', '--worker-urls', ...urls, '--policy', 'cache_aware', ...address, '--log-level', 'warn']
  return spawn(SMG, args, { stdio: 'ignore' })
}

async function spawnGateway(
  name: string,
  { urls, timeScale }: Fleet,
  port: number,
  cwd: string,
): Promise<ChildProcess> {
  const services = urls.map((url, i) => ({ name: `engine-${i}`, url }))
  await writeFile(join(cwd, 'services.json'), JSON.stringify(services))
  return spawn(process.execPath, [GATEWAY, name, `${timeScale}`], {
    cwd,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...{ PATH: process.env['PATH'] ?? '', PORT: `${port}`, HOST: '127.0.0.1', STATE_URL: 'memory:' },
      ...{
        SERVICES_FILE: 'services.json',
        REFRESH_INTERVAL: `${POLL_SECONDS * timeScale}`,
        LOG_FORMAT: 'json',
        LOG_LEVEL: 'error',
      },
      // All clients are one caller here.
      ...{ PROXY_RATELIMIT_REQS_PER_MIN: '0', MEMORY_BUDGET: '2gb' },
    },
  })
}
