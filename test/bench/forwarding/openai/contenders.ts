import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { spawnGateway } from '../../../kit/gateway.ts'
import type { Cleanups } from '../cleanups.ts'
import { nginx } from '../contenders/nginx.ts'
import { stock } from '../contenders/stock.ts'
import { CHAT_PATH } from './protocol.ts'

const SERVICE = fileURLToPath(new URL('stampingService.ts', import.meta.url))
/** Limits are switched on, and never reached. */
const NEVER_REACHED = '1000000000'

/** What requests are sent to. */
export interface Target {
  readonly name: string
  readonly url: string
  /** Of the proxy; none where the service itself is asked. */
  readonly pid: number | undefined
}

/** Starts a service, and in front of it everything that is measured: first nothing, then the gateway, then the others. */
export async function startTargets(cleanups: Cleanups): Promise<Target[]> {
  const address = await startService(cleanups)
  const targets: Target[] = [
    { name: 'no proxy', url: `http://${address}${CHAT_PATH}`, pid: undefined },
    await startGateway(cleanups, address),
  ]
  for (const contender of [stock, nginx]) {
    if (contender.version() === undefined) continue
    const { pid, url } = await contender.start(cleanups, [address])
    targets.push({ name: contender.name, url: new URL(CHAT_PATH, url).href, pid })
  }
  return targets
}

export function isStock({ name }: Target): boolean {
  return name === stock.name
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
  return { name: 'gateway', url: gateway.url + CHAT_PATH, pid: gateway.pid }
}
