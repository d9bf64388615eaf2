import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))

export interface GatewayProcess {
  readonly url: string
  stop(): Promise<void>
}

/** Starts the gateway as it is started for real, and waits until it listens. */
export async function startGateway(cwd: string, env: Record<string, string>): Promise<GatewayProcess> {
  const child = spawn(process.execPath, [CLI], {
    cwd,
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const port = await listeningPort(child)
  child.stdout?.resume()
  return {
    url: `http://127.0.0.1:${port}`,
    stop: async () => {
      child.kill('SIGTERM')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    },
  }
}

async function listeningPort(child: ChildProcess): Promise<number> {
  if (!child.stdout) throw new Error('the gateway has no output')
  for await (const line of createInterface({ input: child.stdout })) {
    const entry = JSON.parse(line) as { message?: string; port?: number }
    if (entry.message === 'listening' && entry.port !== undefined) return entry.port
  }
  throw new Error('the gateway ended before it listened')
}
