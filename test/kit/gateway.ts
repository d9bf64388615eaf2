/** The real gateway as a process of its own, in a directory of its own, for tests from outside. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, isAbsolute, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { request } from './http.ts'
import { eventually, freePort, tempDir, within } from './wait.ts'
import type { Cleanup } from './wait.ts'

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))

/** Compiled sources, kept from one gateway to the next: a start takes half the processor time. */
const COMPILE_CACHE = fileURLToPath(new URL('../../node_modules/.cache/node-compile', import.meta.url))

/** Milliseconds until a start that says nothing, or a stop that does not end, is an error. */
const START_MS = 60_000
const STOP_MS = 45_000

export interface GatewayOptions {
  /** Settings as in the contract; they win over the kit's own. */
  env?: Record<string, string>
  /** Addresses of nodes: each becomes a line of the addresses file. */
  nodes?: readonly string[]
  /** Further lines of that file as they are: comments, `concurrency=4`, nonsense. */
  ipsLines?: readonly string[]
  /** OpenAI-compatible services: written as the services file. */
  services?: readonly object[]
  /** Other files of the working directory: name → content. An object is written as JSON. */
  cwdFiles?: Record<string, string | object>
  /** The working directory. Given one that stays, state survives from one gateway to the next. */
  cwd?: string
  /** Further command line arguments. */
  args?: readonly string[]
  /** `false`: return at once, without waiting for the gateway to listen. */
  listening?: boolean
}

/** One line of the log; `message` and `level` are always there. */
export type LogLine = Record<string, unknown> & { message?: string; level?: string }

export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
}

export interface Gateway {
  readonly url: string
  readonly port: number
  readonly pid: number
  readonly cwd: string
  /** The parsed log, of all the lives of this gateway. */
  readonly logs: readonly LogLine[]
  /** Everything written to stdout and stderr, as it came. */
  readonly output: string
  /** Resolves when the process that runs now has ended. */
  readonly exited: Promise<Exit>
  /** The first line, past or future, that satisfies the condition. */
  waitForLog(condition: (line: LogLine) => boolean, withinMs?: number): Promise<LogLine>
  /** Waits until `/readyz` says 200, and `/health` counts `nodes` healthy backends where a number is given. */
  ready(nodes?: number, withinMs?: number): Promise<void>
  /** Rewrites the addresses file. */
  setNodes(nodes: readonly string[], ipsLines?: readonly string[]): Promise<void>
  setServices(services: readonly object[]): Promise<void>
  signal(signal: NodeJS.Signals): void
  /** SIGTERM, and the exit it leads to. */
  stop(): Promise<Exit>
  /** SIGKILL, and the end. */
  kill(): Promise<Exit>
  /** Starts again with the same settings, port and directory, after `stop()` or `kill()`, which it calls if need be. */
  restart(env?: Record<string, string>): Promise<void>
}

/** Starts a gateway that is ended, and whose directory is removed, after the test. Rejects if it does not start. */
export async function spawnGateway(t: Cleanup, options: GatewayOptions = {}): Promise<Gateway> {
  const cwd = options.cwd ?? (await tempDir(t))
  const gateway = new GatewayProcess(cwd, await settings(cwd, options), options.args ?? [])
  t.after(() => gateway.kill())
  await gateway.setNodes(options.nodes ?? [], options.ipsLines ?? [])
  if (options.services) await gateway.setServices(options.services)
  for (const [name, content] of Object.entries(options.cwdFiles ?? {})) await writeInside(cwd, name, content)
  gateway.launch()
  if (options.listening !== false) await gateway.listening()
  return gateway
}

/** The settings of a test's gateway: loopback, in memory, polling each second, telling everything. */
async function settings(cwd: string, options: GatewayOptions): Promise<Record<string, string>> {
  return {
    ...(process.env.PATH === undefined ? {} : { PATH: process.env.PATH }),
    NODE_COMPILE_CACHE: COMPILE_CACHE,
    // A port chosen here, not by the system: the same one can be had again after a restart.
    PORT: String(await freePort()),
    HOST: '127.0.0.1',
    IPS_FILE: join(cwd, 'ips.txt'),
    STATE_URL: 'memory:',
    REFRESH_INTERVAL: '1',
    // Backends that a test has taken away are usually not meant to come back.
    OUTAGE_WAIT: '2',
    LOG_FORMAT: 'json',
    LOG_LEVEL: 'debug',
    ...(options.services ? { SERVICES_FILE: join(cwd, 'services.json') } : {}),
    ...options.env,
  }
}

class GatewayProcess implements Gateway {
  readonly cwd: string
  readonly logs: LogLine[] = []
  output = ''
  port = 0
  exited: Promise<Exit> = Promise.resolve({ code: null, signal: null })
  readonly #env: Record<string, string>
  readonly #args: readonly string[]
  #child: ChildProcess | undefined
  /** Index of the first log line of the present life. */
  #lifeStart = 0
  #changed: (() => void)[] = []

  constructor(cwd: string, env: Record<string, string>, args: readonly string[]) {
    this.cwd = cwd
    this.#env = env
    this.#args = args
  }

  get url(): string {
    const host = this.#env.HOST ?? '127.0.0.1'
    return `http://${host.includes(':') ? `[${host}]` : host}:${this.port}`
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  launch(): void {
    this.#lifeStart = this.logs.length
    const child = spawn(process.execPath, [CLI, ...this.#args], {
      cwd: this.cwd,
      env: this.#env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    this.#read(child.stdout)
    this.#read(child.stderr)
    // 'close' comes after the last line of output, 'exit' may come before it.
    this.exited = once(child, 'close').then(([code, signal]) => {
      this.#tell()
      return { code: code as number | null, signal: signal as NodeJS.Signals | null }
    })
  }

  async listening(): Promise<void> {
    const line = await this.#line((line) => line.message === 'listening', START_MS, this.#lifeStart)
    this.port = Number(line.port)
  }

  waitForLog(condition: (line: LogLine) => boolean, withinMs = 10_000): Promise<LogLine> {
    return this.#line(condition, withinMs, 0)
  }

  async ready(nodes?: number, withinMs = 10_000): Promise<void> {
    const look = async (): Promise<boolean> => {
      if ((await request(`${this.url}/readyz`)).status !== 200) return false
      return nodes === undefined || (await this.#healthy()) >= nodes
    }
    await eventually(look, { withinMs, everyMs: 25, what: `readiness${nodes === undefined ? '' : ` with ${nodes}`}` })
  }

  async setNodes(nodes: readonly string[], ipsLines: readonly string[] = []): Promise<void> {
    await this.#write('IPS_FILE', [...nodes, ...ipsLines, ''].join('\n'))
  }

  async setServices(services: readonly object[]): Promise<void> {
    await this.#write('SERVICES_FILE', services)
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal)
  }

  stop(): Promise<Exit> {
    this.signal('SIGTERM')
    return within(this.exited, STOP_MS, () => `the exit of the gateway, which wrote:\n${this.output}`)
  }

  kill(): Promise<Exit> {
    this.signal('SIGKILL')
    return this.exited
  }

  async restart(env: Record<string, string> = {}): Promise<void> {
    if (this.#isRunning) await this.stop()
    Object.assign(this.#env, { PORT: String(this.port) }, env)
    this.launch()
    await this.listening()
  }

  get #isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  async #healthy(): Promise<number> {
    const { healthy_services } = (await request(`${this.url}/health`)).json<{ healthy_services: string }>()
    return Number(healthy_services.split('/')[0])
  }

  async #write(setting: string, content: string | object): Promise<void> {
    const name = this.#env[setting]
    if (name) await writeInside(this.cwd, name, content)
  }

  #read(stream: Readable): void {
    createInterface({ input: stream, crlfDelay: Infinity }).on('line', (line) => {
      this.output += `${line}\n`
      this.logs.push(parseLine(line))
      this.#tell()
    })
  }

  #tell(): void {
    const waiting = this.#changed
    this.#changed = []
    for (const resume of waiting) resume()
  }

  async #line(condition: (line: LogLine) => boolean, withinMs: number, from: number): Promise<LogLine> {
    const search = async (): Promise<LogLine> => {
      for (let next = from; ;) {
        for (; next < this.logs.length; next++) if (condition(this.logs[next]!)) return this.logs[next]!
        if (!this.#isRunning) throw new Error(`the gateway ended; it wrote:\n${this.output}`)
        await new Promise<void>((resolve) => this.#changed.push(resolve))
      }
    }
    return within(search(), withinMs, () => `a line of the log; the gateway wrote:\n${this.output}`)
  }
}

/** A line that is no JSON object (a crash, a warning of the runtime) is kept as a message of its own. */
function parseLine(line: string): LogLine {
  try {
    const parsed: unknown = JSON.parse(line)
    if (typeof parsed === 'object' && parsed !== null) return parsed as LogLine
  } catch {
    // Not JSON.
  }
  return { message: line, level: 'raw' }
}

async function writeInside(cwd: string, name: string, content: string | object): Promise<void> {
  const path = isAbsolute(name) ? name : join(cwd, name)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content, null, 2))
}
