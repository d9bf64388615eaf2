import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { request } from '../../../kit/http.ts'
import { eventually, freePort } from '../../../kit/wait.ts'
import { JOB } from '../fleet.ts'
import type { Cleanups } from '../../../kit/cleanups.ts'

/** A proxy that runs, in a process of its own, in front of the nodes. */
export interface Running {
  readonly pid: number
  /** Where jobs are posted to. */
  readonly url: string
  /** Resolves when it has done all that follows from the requests so far; returns how many jobs it has recorded. */
  settle?(): Promise<number>
}

/** A proxy that can be measured. */
export interface Contender {
  readonly name: string
  /** How it is set up, where that is not plain. */
  readonly note: string
  /** It runs JavaScript, which takes its time to warm up. */
  readonly isCompiledAsItRuns?: boolean
  /** Its version; `undefined` where it is not installed. */
  version(): string | undefined
  start(cleanups: Cleanups, nodes: readonly string[]): Promise<Running>
}

export const JOBS_PATH = '/api/jobs'

/** The first number in what a command says of its version; `undefined` if there is no such command. */
export function versionOf(command: string, ...args: string[]): string | undefined {
  const { error, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  return error ? undefined : /\d+(\.\d+)+/.exec(stdout + stderr)?.[0]
}

/** A contender that is a program of ours: `node FILE PORT NODE …`. */
export function nodeServer({ name, note, file }: { name: string; note: string; file: URL }): Contender {
  return {
    name,
    note,
    isCompiledAsItRuns: true,
    version: () => 'as installed',
    start: async (cleanups, nodes) => {
      const port = await freePort()
      const args = [fileURLToPath(file), String(port), ...nodes]
      return startServer(cleanups, process.execPath, args, port, { NODE_ENV: 'production' })
    },
  }
}

/** Starts a server that is killed at the end, and waits until it forwards jobs. */
export async function startServer(
  cleanups: Cleanups,
  command: string,
  args: readonly string[],
  port: number,
  env: Record<string, string> = {},
): Promise<Running> {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...env } })
  cleanups.after(() => ended(child))
  let complaints = ''
  child.stderr.on('data', (chunk: Buffer) => (complaints = (complaints + chunk.toString()).slice(-2000)))
  const url = `http://127.0.0.1:${port}${JOBS_PATH}`
  const forwards = async (): Promise<boolean> => {
    if (child.exitCode !== null) throw new Error(`${command} ended: ${complaints}`)
    const headers = { 'content-type': 'application/json' }
    return (await request(url, { method: 'POST', headers, body: JOB, timeoutMs: 1000 })).status === 200
  }
  await eventually(forwards, { what: `${command} on port ${port}`, everyMs: 50 })
  return { pid: child.pid!, url }
}

/** Ends a server; SIGTERM first, so that one with children ends those too. */
async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 2000)
  await exit
  clearTimeout(timer)
}
