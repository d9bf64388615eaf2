import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../kit/wait.ts'
import type { BenchNode } from './fleet.ts'
import type { SelectionPolicyName } from './policies.ts'

const GATEWAY = fileURLToPath(new URL('gatewayMain.ts', import.meta.url))
/** 30 s at a tenth of the time. */
const POLL_SECONDS = '3'
const START_MS = 20_000

/** Something that takes the traffic of a fleet. */
export interface Contender {
  readonly origins: readonly string[]
  readonly pids: readonly number[]
  /** The fleet has changed. */
  update(nodes: readonly BenchNode[]): Promise<void>
  stop(): Promise<void>
}

/** `without kinds` is the gateway that learns nothing of kinds of work. */
export type ContenderName = SelectionPolicyName | 'without kinds' | 'haproxy leastconn' | 'nginx least_conn' | 'oracle'

export function isInstalled(name: ContenderName): boolean {
  if (name.startsWith('haproxy')) return spawnSync('haproxy', ['-v']).status === 0
  if (name.startsWith('nginx')) return spawnSync('nginx', ['-v']).status === 0
  return true
}

export interface ContenderOptions {
  /** How many of them share the clients. */
  readonly count: number
  readonly tellsConcurrency: boolean
  /** Where gateways keep their jobs; each in its memory by default. */
  readonly stateUrl?: string | undefined
}

export async function startContender(
  name: ContenderName,
  nodes: readonly BenchNode[],
  { count, tellsConcurrency, stateUrl = 'memory:' }: ContenderOptions,
): Promise<Contender> {
  const addresses = (listed: readonly BenchNode[]): string =>
    listed
      .map(({ sim, concurrency }) => sim.address + (tellsConcurrency ? ` concurrency=${concurrency}` : ''))
      .join('\n')
  if (name === 'oracle') return { origins: [], pids: [], update: async () => {}, stop: async () => {} }
  const cwd = await mkdtemp(join(tmpdir(), 'routing-'))
  const started = await Promise.all(
    Array.from({ length: count }, (_, i) => {
      if (name === 'haproxy leastconn') return startHaproxy(cwd, nodes)
      if (name === 'nginx least_conn') return startNginx(cwd, nodes)
      return startGateway(name, {
        ips: join(cwd, `ips-${i}.txt`),
        list: addresses(nodes),
        nodes: nodes.length,
        stateUrl,
      })
    }),
  )
  return {
    origins: started.map(({ port }) => `http://127.0.0.1:${port}`),
    pids: started.map(({ child }) => child.pid ?? 0),
    update: async (now) => {
      await Promise.all(started.map((_, i) => writeFile(join(cwd, `ips-${i}.txt`), addresses(now))))
    },
    stop: async () => {
      await Promise.all(started.map(({ child }) => end(child)))
      await rm(cwd, { recursive: true, force: true })
    },
  }
}

interface Started {
  readonly child: ChildProcess
  readonly port: number
}

interface GatewayOptions {
  /** The file of addresses, in the directory of the process, and what it lists at first. */
  readonly ips: string
  readonly list: string
  readonly nodes: number
  readonly stateUrl: string
}

async function startGateway(policy: string, { ips, list, nodes, stateUrl }: GatewayOptions): Promise<Started> {
  await writeFile(ips, list)
  const child = withUs(
    spawn(process.execPath, [GATEWAY, policy], {
      cwd: dirname(ips),
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        ...{ PATH: process.env['PATH'] ?? '', PORT: '0', HOST: '127.0.0.1', IPS_FILE: ips, STATE_URL: stateUrl },
        ...{ REFRESH_INTERVAL: POLL_SECONDS, LOG_FORMAT: 'json', LOG_LEVEL: 'info', DRAIN_TIMEOUT: '0' },
        ...{ RATELIMIT_REQS_PER_MIN: '0', PROXY_RATELIMIT_REQS_PER_MIN: '0', READ_RATELIMIT_REQS_PER_MIN: '0' },
        MAX_JOBS_PER_CALLER: '0',
      },
    }),
  )
  let port = 0
  let up = 0
  const ready = Promise.withResolvers<void>()
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { message, port: told } = JSON.parse(line) as { message: string; port?: number }
    if (message === 'listening') port = told ?? 0
    if (message === 'node up' && ++up === nodes) ready.resolve()
  })
  await Promise.race([ready.promise, sleep(START_MS).then(() => Promise.reject(new Error('the gateway is not ready')))])
  return { child, port }
}

async function startHaproxy(cwd: string, nodes: readonly BenchNode[]): Promise<Started> {
  const port = await freePort()
  const servers = nodes.map(({ sim }, i) => `  server n${i} ${sim.address}`).join('\n')
  const file = join(cwd, 'haproxy.cfg')
  await writeFile(
    file,
    `global\n  maxconn 4000\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 300s\n  timeout server 300s\n` +
      `frontend f\n  bind 127.0.0.1:${port}\n  default_backend b\nbackend b\n  balance leastconn\n  http-reuse always\n${servers}\n`,
  )
  return { child: await spawned('haproxy', ['-db', '-f', file], port), port }
}

async function startNginx(cwd: string, nodes: readonly BenchNode[]): Promise<Started> {
  const port = await freePort()
  const servers = nodes.map(({ sim }) => `server ${sim.address} max_fails=0;`).join(' ')
  const file = join(cwd, 'nginx.conf')
  await writeFile(
    file,
    `daemon off; worker_processes 1; pid ${cwd}/nginx.pid; error_log ${cwd}/error.log;\n` +
      `events { worker_connections 4000; }\nhttp { access_log off; client_body_temp_path ${cwd}/body; proxy_temp_path ${cwd}/proxy;\n` +
      `fastcgi_temp_path ${cwd}/f; uwsgi_temp_path ${cwd}/u; scgi_temp_path ${cwd}/s;\n` +
      `upstream fleet { least_conn; ${servers} keepalive 200; }\nserver { listen 127.0.0.1:${port};\n` +
      `location / { proxy_pass http://fleet; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; proxy_read_timeout 300s; } } }\n`,
  )
  return { child: await spawned('nginx', ['-c', file, '-p', cwd], port), port }
}

async function spawned(command: string, args: string[], port: number): Promise<ChildProcess> {
  const child = withUs(spawn(command, args, { stdio: 'ignore' }))
  for (const deadline = Date.now() + START_MS; Date.now() < deadline; await sleep(50)) {
    const answers = await fetch(`http://127.0.0.1:${port}/health`)
      .then((answer) => answer.ok)
      .catch(() => false)
    if (answers) return child
  }
  throw new Error(`${command} is not ready`)
}

const running = new Set<ChildProcess>()
process.on('exit', () => running.forEach((child) => child.kill()))

/** Ends the child with this process, however that ends by itself. */
function withUs<Child extends ChildProcess>(child: Child): Child {
  running.add(child)
  child.once('exit', () => running.delete(child))
  return child
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  await once(child, 'exit')
}
