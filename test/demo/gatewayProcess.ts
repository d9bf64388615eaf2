import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))
/** A gateway that has not ended by then, longer than it drains, is killed, ms. */
const STOP_MS = 10_000

export interface GatewayProcess {
  /** Resolves when it listens; rejects where it cannot start. */
  readonly url: Promise<string>
  stop(): Promise<void>
}

/** Starts the gateway as it is started for real. */
export function launchGateway(cwd: string, env: Record<string, string>): GatewayProcess {
  const child = spawn(process.execPath, [CLI], {
    cwd,
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return {
    url: listeningPort(child).then((port) => `http://127.0.0.1:${port}`),
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exit = once(child, 'exit')
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
      await exit
      clearTimeout(timer)
    },
  }
}

async function listeningPort(child: ChildProcess): Promise<number> {
  if (!child.stdout) throw new Error('the gateway has no output')
  const lines = createInterface({ input: child.stdout })
  try {
    for await (const line of lines) {
      const entry = JSON.parse(line) as { message?: string; port?: number }
      if (entry.message === 'listening' && entry.port !== undefined) return entry.port
    }
  } finally {
    child.stdout.resume()
  }
  throw new Error('the gateway ended before it listened')
}

/** The port itself where nothing listens there, else 0, which takes a free one. */
export async function portOrAny(port: number): Promise<number> {
  const probe = createServer()
  try {
    probe.listen(port, '127.0.0.1')
    await once(probe, 'listening')
    probe.close()
    await once(probe, 'close')
    return port
  } catch {
    return 0
  }
}
