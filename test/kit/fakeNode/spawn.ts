/** A fake node as a process of its own, which can be killed, stopped and started again. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { request } from '../http.ts'
import { RecordedRequest } from '../fakeServer/records.ts'
import type { RequestData } from '../fakeServer/records.ts'
import { eventually, freePort, tempDir } from '../wait.ts'
import type { Cleanup } from '../wait.ts'
import { FakeNode } from './handle.ts'
import type { Command, Counts, FakeNodeEvents } from './handle.ts'
import type { FakeNodeOptions } from './options.ts'
import type { JobTrace } from './work.ts'

// With the usual few megabytes, half the time of a busy node goes into moving jobs that end soon after.
const ROOM_FOR_YOUNG_OBJECTS = '--max-semi-space-size=64'
const MAIN = fileURLToPath(new URL('main.ts', import.meta.url))

export interface SpawnOptions extends FakeNodeOptions {
  /** `false`: no events and requests come over, which saves both processes' time. Default true. */
  watch?: boolean
}

export class SpawnedFakeNode extends FakeNode {
  readonly requests: RecordedRequest[] = []
  readonly #options: SpawnOptions
  readonly #agent = new Agent({ keepAlive: true })
  host = '127.0.0.1'
  port = 0
  controlPort = 0
  #child: ChildProcess | undefined
  /** Requests heard of from the present process. */
  #heard = 0

  constructor(options: SpawnOptions) {
    super()
    this.#options = options
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  async start(): Promise<void> {
    const { watch = true, ...options } = this.#options
    const args = [
      ROOM_FOR_YOUNG_OBJECTS,
      MAIN,
      '--options',
      JSON.stringify(options),
      '--port',
      String(this.port || (options.port ?? 0)),
    ]
    // Its stdin is a pipe from us: it ends with this process, however this one ends.
    const child = spawn(process.execPath, [...args, '--control-port', String(this.controlPort)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#child = child
    this.#heard = 0
    const [line] = (await Promise.race([
      once(createInterface({ input: child.stdout }), 'line'),
      once(child, 'exit').then(() => {
        throw new Error('the node ended')
      }),
    ])) as [string]
    const said = JSON.parse(line) as { host: string; port: number; controlPort: number }
    this.host = said.host
    this.port = said.port
    this.controlPort = said.controlPort
    if (watch) await this.#listen()
  }

  async command(command: Command): Promise<void> {
    const answer = await this.#ask('/command', command)
    if (answer.status !== 200) throw new Error(`the node refused a command: ${answer.text}`)
  }

  async counts(): Promise<Counts> {
    return (await this.#ask('/counts')).json<Counts>()
  }

  async jobs(): Promise<JobTrace[]> {
    return (await this.#ask('/jobs')).json<JobTrace[]>()
  }

  async sync(): Promise<void> {
    const { recorded } = await this.counts()
    await eventually(() => this.#heard >= recorded, { what: 'news of all requests' })
  }

  /** SIGTERM: the connections are closed as the process ends. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM')
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** SIGSTOP: connections are still accepted by the kernel, and nothing is answered. */
  pause(): void {
    this.#child?.kill('SIGSTOP')
  }

  resume(): void {
    this.#child?.kill('SIGCONT')
  }

  /** Kills it if need be and starts it again on the same port: finished jobs are known, unfinished ones gone. */
  async restart(): Promise<void> {
    await this.kill()
    await this.start()
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    // A stopped process notes nothing but SIGKILL.
    if (signal !== 'SIGKILL') child.kill('SIGCONT')
    await once(child, 'exit')
  }

  #ask(path: string, command?: Command): ReturnType<typeof request> {
    const url = `http://${this.host}:${this.controlPort}${path}`
    return request(url, { method: command ? 'POST' : 'GET', body: command, agent: this.#agent })
  }

  async #listen(): Promise<void> {
    const asking = get(`http://${this.host}:${this.controlPort}/events`, { agent: false })
    const [response] = (await once(asking, 'response')) as [NodeJS.ReadableStream]
    asking.on('error', () => undefined)
    const lines = createInterface({ input: response })
    // The death of the process breaks this connection too.
    lines.on('error', () => undefined)
    lines.on('line', (line) => {
      const { name, what } = JSON.parse(line) as { name: keyof FakeNodeEvents; what: never }
      if (name === 'request') this.#hear(what)
      else this.emit(name, what)
    })
  }

  #hear(data: RequestData): void {
    const record = RecordedRequest.fromData(data)
    this.#heard++
    this.requests.push(record)
    this.emit('request', record)
  }
}

/** Starts a fake node as a process, killed after the test. */
export async function spawnFakeNode(options: SpawnOptions = {}, t?: Cleanup): Promise<SpawnedFakeNode> {
  const host = options.host ?? '127.0.0.1'
  // Chosen here, both can be had again by the next life of the process.
  const fixed: SpawnOptions = { ...options, host, port: options.port || (await freePort(host)) }
  if (t && fixed.finishedFile === undefined) fixed.finishedFile = join(await tempDir(t), 'finished.jsonl')
  const node = new SpawnedFakeNode(fixed)
  node.controlPort = options.controlPort || (await freePort(host))
  await node.start()
  t?.after(() => node.kill())
  return node
}
