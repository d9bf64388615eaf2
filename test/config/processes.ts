import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { TestContext } from 'node:test'

const cli = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))

export interface Ended {
  exitCode: number | null
  stdout: string
  stderr: string
}

export interface ProcessOptions {
  /** The whole environment of the process. */
  env?: Record<string, string>
  /** Working directory. */
  cwd?: string
}

/** Runs Node to its end, with nothing in its environment but what is given. */
export async function runNode(args: string[], options: ProcessOptions = {}): Promise<Ended> {
  const { env = {}, cwd = os.tmpdir() } = options
  const child = spawn(process.execPath, args, { env, cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { exitCode: child.exitCode, stdout, stderr }
}

/** Runs the command-line program to its end; `nodeOptions` come before the script. */
export const runCli = (args: string[], options: ProcessOptions = {}, nodeOptions: string[] = []): Promise<Ended> =>
  runNode([...nodeOptions, cli, ...args], options)

/** An empty folder that goes with the test. */
export async function emptyFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'settings-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}
