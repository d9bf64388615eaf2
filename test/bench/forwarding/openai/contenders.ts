import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { spawnGateway } from '../../../kit/gateway.ts'
import type { Cleanups } from '../../../kit/cleanups.ts'
import { CONTENDERS, startPlainProxies } from '../contenders/index.ts'
import type { BenchOptions } from '../options.ts'
import type { Subject } from '../rounds.ts'
import { CHAT_PATH } from './protocol.ts'

const SERVICE = fileURLToPath(new URL('stampingService.ts', import.meta.url))
/** Limits are switched on, and never reached. */
const NEVER_REACHED = '1000000000'

/** What requests are sent to. */
export interface Target extends Subject {
  readonly url: string
  readonly isCompiledAsItRuns: boolean
}

export interface Targets {
  readonly all: readonly Target[]
  /** The service without a proxy. */
  readonly direct: Target
  readonly gateway: Target
  readonly stock: Target | undefined
}

/** Starts a service, and in front of it everything that is measured: first nothing, then the gateway, then the others. */
export async function startTargets(cleanups: Cleanups, options: BenchOptions): Promise<Targets> {
  const address = await startService(cleanups)
  const url = `http://${address}${CHAT_PATH}`
  const direct: Target = { name: 'no proxy', url, pid: undefined, isCompiledAsItRuns: true }
  const gateway = await startGateway(cleanups, address)
  const others = (await startPlainProxies(cleanups, [address], options)).map(({ name, pid, url, contender }) => ({
    name,
    pid,
    url: new URL(CHAT_PATH, url).href,
    isCompiledAsItRuns: contender.isCompiledAsItRuns ?? false,
  }))
  const stock = others.find(({ name }) => name === CONTENDERS['stock']!.name)
  return { all: [direct, gateway, ...others], direct, gateway, stock }
}

async function startService(cleanups: Cleanups): Promise<string> {
  const child = spawn(process.execPath, [SERVICE], { stdio: ['pipe', 'pipe', 'inherit'] })
  cleanups.after(() => child.kill())
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  return `127.0.0.1:${(JSON.parse(line) as { port: number }).port}`
}

/** As shipped, but for limits that one benchmarking caller would reach. */
async function startGateway(cleanups: Cleanups, address: string): Promise<Target> {
  const gateway = await spawnGateway(cleanups, {
    services: [{ name: 'service', url: `http://${address}` }],
    env: {
      NODE_ENV: 'production',
      STATE_URL: 'sqlite:data/gateway.db',
      PROXY_RATELIMIT_REQS_PER_MIN: NEVER_REACHED,
      REFRESH_INTERVAL: '30',
      LOG_LEVEL: 'info',
    },
  })
  await gateway.ready(1)
  return { name: 'gateway', url: gateway.url + CHAT_PATH, pid: gateway.pid, isCompiledAsItRuns: true }
}
