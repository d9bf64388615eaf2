import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { freePort, type Cleanup } from '../wait.ts'
import type { BatchStats } from './batch.ts'
import type { EngineCommand } from './main.ts'
import type { EngineOptions } from './options.ts'

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url))

/** What an engine has done so far, and what it has to do now. */
export interface EngineStats extends BatchStats {
  readonly running: number
  readonly waiting: number
}

/** Simulated engines that share one process. */
export class SpawnedEngines {
  readonly #options: EngineOptions[]
  #child: ChildProcess | undefined
  /** Answers of the process come in the order of the questions. */
  #asked: Promise<unknown> = Promise.resolve()

  constructor(options: EngineOptions[]) {
    this.#options = options
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  /** In the order of their options. */
  get urls(): string[] {
    return this.#options.map(({ host = '127.0.0.1', port }) => `http://${host}:${port}`)
  }

  async start(): Promise<void> {
    const child = fork(MAIN, [JSON.stringify(this.#options)], { execArgv: ['--max-semi-space-size=64'] })
    this.#child = child
    await this.#message(child)
  }

  /** Of each engine, in the order of their options. */
  stats(): Promise<EngineStats[]> {
    return this.#ask('stats')
  }

  /** As after a restart, but at once: caches are empty, nothing runs or is counted. */
  async reset(): Promise<void> {
    await this.#ask('reset')
  }

  /** SIGKILL. Requests under way break off; until `start`, connections are refused. */
  async kill(): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  /** Ends the process if need be and starts it again on the same ports. */
  async restart(): Promise<void> {
    await this.kill()
    await this.start()
  }

  #ask(command: EngineCommand): Promise<EngineStats[]> {
    const answer = this.#asked.then(async () => {
      const child = this.#child!
      child.send(command)
      return (await this.#message(child)) as EngineStats[]
    })
    this.#asked = answer.catch(() => {})
    return answer
  }

  async #message(child: ChildProcess): Promise<unknown> {
    const ended = new AbortController()
    try {
      const [message] = (await Promise.race([
        once(child, 'message', { signal: ended.signal }),
        once(child, 'exit', { signal: ended.signal }).then(() => {
          throw new Error('the engines ended')
        }),
      ])) as [unknown]
      return message
    } finally {
      ended.abort()
    }
  }
}

/** Starts engines that share a process, on ports that they keep; the process ends with the test, and with this process. */
export async function spawnEngines(options: readonly EngineOptions[], t: Cleanup): Promise<SpawnedEngines> {
  const withPorts: EngineOptions[] = []
  for (const each of options) withPorts.push({ ...each, port: each.port || (await freePort(each.host ?? '127.0.0.1')) })
  const engines = new SpawnedEngines(withPorts)
  t.after(() => engines.kill())
  await engines.start()
  return engines
}
