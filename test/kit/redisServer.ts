/** A real Redis server as a process of its own, with its data in a directory of its own. */
import { execFileSync, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createClient } from '@redis/client'
import { TLS_CERTIFICATE, TLS_KEY } from './tls.ts'
import { eventually, freePort, tempDir, within } from './wait.ts'
import type { Cleanup } from './wait.ts'

/** The servers that are looked for in PATH, the first one that is found wins. */
const BINARIES = ['redis-server', 'valkey-server']
/** Scripts with flags need it. */
const LEAST_VERSION = 7

/** Milliseconds until a start or an answer that does not come is an error. */
const START_MS = 30_000
const ANSWER_MS = 20_000

const READY = /Ready to accept connections/
const SERVED_WHILE_LOADING = ['--loading-process-events-interval-bytes', '1024']

const found = findBinary()

/** Why tests that need a Redis are skipped; `false` where they are not. */
export const redisMissing: string | false = found
  ? false
  : `no ${BINARIES.join(' or ')} of version ${LEAST_VERSION} or later is installed (Debian: apt-get install redis-server)`

export interface RedisOptions {
  /** Asked for with `AUTH`; `url()` has it. */
  password?: string
  /** Serves TLS alone, with the certificate of kit/tls.ts. */
  tls?: boolean
  /** Writes each change to a file (`everysec`), so that a kill loses nothing. Default: nothing is kept. */
  appendOnly?: boolean
  /** As Redis writes it: `10mb`. */
  maxMemory?: string
  /** Copies the data of this one, and is read-only until `REPLICAOF NO ONE`. */
  replicaOf?: { port: number }
  /** One node of a cluster. */
  cluster?: boolean
  /** Further arguments: `['--maxmemory-policy', 'allkeys-lru']`. */
  args?: readonly string[]
}

interface RestartOptions {
  /** Default: true. What is kept depends on `appendOnly` and `SAVE`. */
  keepsData?: boolean
}

/** An answer of Redis. */
type Reply = string | number | null | Reply[]

export interface RedisServer {
  readonly port: number
  readonly pid: number
  readonly folder: string
  /** `redis://127.0.0.1:port/database`, with `rediss` and the password where they are wanted. */
  url(database?: number): string
  /** The same by way of another port: a proxy's. */
  urlAt(port: number, database?: number): string
  /** Sends one command over a connection of its own; rejects with Redis's error. */
  call(...command: readonly string[]): Promise<Reply>
  /** SIGKILL, and the end. */
  kill(): Promise<void>
  /** SIGTERM, and the end: the data are written first where they are kept at all. */
  stop(): Promise<void>
  /** SIGSTOP: connections stay, nothing is answered. */
  pause(): void
  /** SIGCONT. */
  resume(): void
  /** Starts again on the same port, after `kill` or `stop`, which it calls if need be. */
  restart(options?: RestartOptions): Promise<void>
  /**
   * Starts again with the same data, which it takes long to read: it answers LOADING until the function that this returns
   * is called. Not for one with `appendOnly`.
   */
  restartLoading(): Promise<() => Promise<void>>
}

/** Starts a server that is ended, and whose data are removed, after the test. */
export async function startRedis(t: Cleanup, options: RedisOptions = {}): Promise<RedisServer> {
  const folder = await tempDir(t, 'redis-test-')
  const server = new RedisProcess(await freePort(), folder, options)
  t.after(() => server.kill())
  if (options.tls) {
    await writeFile(join(folder, 'key.pem'), TLS_KEY)
    await writeFile(join(folder, 'certificate.pem'), TLS_CERTIFICATE)
  }
  await server.restart()
  return server
}

class RedisProcess implements RedisServer {
  readonly port: number
  readonly folder: string
  readonly #options: RedisOptions
  #child: ChildProcess | undefined
  #exited: Promise<unknown> = Promise.resolve()
  #output = ''

  constructor(port: number, folder: string, options: RedisOptions) {
    this.port = port
    this.folder = folder
    this.#options = options
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  url(database = 0): string {
    return this.urlAt(this.port, database)
  }

  urlAt(port: number, database = 0): string {
    const { tls, password } = this.#options
    return `${tls ? 'rediss' : 'redis'}://${password ? `:${password}@` : ''}127.0.0.1:${port}/${database}`
  }

  async call(...command: readonly string[]): Promise<Reply> {
    const { tls } = this.#options
    const client = createClient({
      url: this.url(),
      disableOfflineQueue: true,
      socket: { reconnectStrategy: false, ...(tls && { tls: true, ca: TLS_CERTIFICATE }) },
    })
    // Whoever calls learns of it by the rejection.
    client.on('error', () => undefined)
    try {
      const answer = client.connect().then(() => client.sendCommand<Reply>(command))
      return await within(answer, ANSWER_MS, () => `an answer to ${command[0]}; Redis wrote:\n${this.#output}`)
    } finally {
      if (client.isOpen) client.destroy()
    }
  }

  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL')
    await this.#exited
  }

  async stop(): Promise<void> {
    // A stopped process does not see SIGTERM.
    this.resume()
    this.#child?.kill('SIGTERM')
    await within(this.#exited, START_MS, () => `the end of Redis, which wrote:\n${this.#output}`)
  }

  pause(): void {
    this.#child?.kill('SIGSTOP')
  }

  resume(): void {
    this.#child?.kill('SIGCONT')
  }

  async restart({ keepsData = true }: RestartOptions = {}): Promise<void> {
    await this.kill()
    if (!keepsData) await rm(join(this.folder, 'data'), { recursive: true, force: true })
    await mkdir(join(this.folder, 'data'), { recursive: true })
    await this.#launch(READY, [])
  }

  async restartLoading(): Promise<() => Promise<void>> {
    await this.call('CONFIG', 'SET', 'rdbcompression', 'no')
    await this.call('DEBUG', 'POPULATE', '1000', 'slow to read', '2000')
    await this.call('SAVE')
    await this.kill()
    // Microseconds a key; clients are served in between.
    await this.#launch(/Server initialized/, ['--key-load-delay', '50000', ...SERVED_WHILE_LOADING])
    return async () => {
      await this.call('CONFIG', 'SET', 'key-load-delay', '0')
      await eventually(async () => (await this.call('PING')) === 'PONG', { what: 'the end of loading' })
    }
  }

  async #launch(sign: RegExp, args: readonly string[]): Promise<void> {
    const child = spawn(found!, [...this.#arguments(), ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    const exited = once(child, 'close')
    this.#exited = exited
    const started = new Promise<void>((resolve, reject) => {
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream }).on('line', (line) => {
          this.#output += `${line}\n`
          if (sign.test(line)) resolve()
        })
      }
      exited.then(() => reject(new Error(`Redis ended; it wrote:\n${this.#output}`)), reject)
    })
    await within(started, START_MS, () => `the start of Redis, which wrote:\n${this.#output}`)
  }

  #arguments(): string[] {
    const { password, tls, appendOnly, maxMemory, replicaOf, cluster, args = [] } = this.#options
    const settings: Record<string, string> = {
      bind: '127.0.0.1',
      port: tls ? '0' : String(this.port),
      dir: join(this.folder, 'data'),
      save: '',
      appendonly: appendOnly ? 'yes' : 'no',
      // Copies are made over the socket and begin at once.
      'repl-diskless-sync-delay': '0',
      'enable-debug-command': 'local',
      ...(tls && {
        'tls-port': String(this.port),
        'tls-cert-file': join(this.folder, 'certificate.pem'),
        'tls-key-file': join(this.folder, 'key.pem'),
        'tls-ca-cert-file': join(this.folder, 'certificate.pem'),
        'tls-auth-clients': 'no',
      }),
      ...(password && { requirepass: password, masterauth: password }),
      ...(maxMemory && { maxmemory: maxMemory }),
      ...(cluster && { 'cluster-enabled': 'yes' }),
    }
    const list = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
    return [...list, ...(replicaOf ? ['--replicaof', '127.0.0.1', String(replicaOf.port)] : []), ...args]
  }
}

function findBinary(): string | undefined {
  return BINARIES.find((binary) => {
    try {
      const version = execFileSync(binary, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
      return Number(/\bv=(\d+)/.exec(version)?.[1]) >= LEAST_VERSION
    } catch {
      return false
    }
  })
}
