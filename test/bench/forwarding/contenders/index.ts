import type { Cleanups } from '../../../kit/cleanups.ts'
import { JOB } from '../fleet.ts'
import { load, posting } from '../load.ts'
import type { BenchOptions } from '../options.ts'
import { bare } from './bare.ts'
import { caddy } from './caddy.ts'
import type { Contender, Running } from './contender.ts'
import { gatewayWith, gatewayWithWorkers } from './gateway.ts'
import { haproxy } from './haproxy.ts'
import { nginx } from './nginx.ts'
import { stock } from './stock.ts'

/** Everything that can be measured, by the name that `--only` takes. */
export const CONTENDERS: Readonly<Record<string, Contender>> = {
  sqlite: gatewayWith('sqlite'),
  memory: gatewayWith('memory'),
  redis: gatewayWith('redis'),
  workers: gatewayWithWorkers(2),
  bare,
  stock,
  caddy,
  nginx,
  haproxy,
}

/** What a plain proxy does, which the parts beside submissions are compared with. */
const PLAIN_PROXIES = [stock, caddy, nginx]

/** A contender that runs. */
export interface Started {
  readonly name: string
  readonly pid: number
  readonly url: string
  readonly contender: Contender
  readonly running: Running
}

/** Starts those that are asked for, as far as they are installed. */
export async function startContenders(
  cleanups: Cleanups,
  nodes: readonly string[],
  options: BenchOptions,
): Promise<Started[]> {
  return start(cleanups, nodes, chosen(options))
}

/** The same, without the gateways and their own parts. */
export async function startPlainProxies(
  cleanups: Cleanups,
  nodes: readonly string[],
  options: BenchOptions,
): Promise<Started[]> {
  return start(
    cleanups,
    nodes,
    chosen(options).filter((contender) => PLAIN_PROXIES.includes(contender)),
  )
}

/** Names of those that are asked for, but not installed. */
export function missingOf(options: BenchOptions): string[] {
  return chosen(options)
    .filter((contender) => contender.version() === undefined)
    .map(({ name }) => name)
}

/** Sends jobs until all that is run has been compiled. */
export async function warmUp({ contender, url }: Started, { connections, warmUp }: BenchOptions): Promise<void> {
  await load(posting(url, JOB), connections, contender.isCompiledAsItRuns ? warmUp : SHORT_WARM_UP)
}

/** For programs that were compiled before. */
export const SHORT_WARM_UP = { seconds: 1 }

async function start(
  cleanups: Cleanups,
  nodes: readonly string[],
  contenders: readonly Contender[],
): Promise<Started[]> {
  const started: Started[] = []
  for (const contender of contenders) {
    if (contender.version() === undefined) continue
    const running = await contender.start(cleanups, nodes)
    started.push({ name: contender.name, pid: running.pid, url: running.url, contender, running })
  }
  return started
}

function chosen({ contenders }: BenchOptions): Contender[] {
  if (contenders.length === 0) return Object.values(CONTENDERS)
  return contenders.map((name) => {
    const contender = CONTENDERS[name]
    if (!contender) throw new Error(`no contender is called ${name}; there are ${Object.keys(CONTENDERS).join(', ')}`)
    return contender
  })
}
