/** Waiting for things that have no event, free ports and directories that vanish after the test. */
import './exit.ts'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** What of node:test's context the kit uses. */
export interface Cleanup {
  after(fn: () => unknown): void
}

/**
 * Polls until `look` returns something truthy without throwing, and returns that.
 * Rejects with the last error, or the last value, after `withinMs` (default 5,000).
 */
export async function eventually<T>(
  look: () => T | Promise<T>,
  options: { withinMs?: number; everyMs?: number; what?: string } = {},
): Promise<NonNullable<T>> {
  const { withinMs = 5000, everyMs = 10, what = 'the condition' } = options
  const giveUpAt = performance.now() + withinMs
  for (;;) {
    let seen: unknown
    try {
      const value = await look()
      if (value) return value
      seen = value
    } catch (error) {
      seen = error
    }
    if (performance.now() >= giveUpAt) {
      if (seen instanceof Error) throw seen
      throw new Error(`${what} did not come true within ${withinMs} ms; last seen: ${String(seen)}`)
    }
    await sleep(everyMs)
  }
}

/** Fails after `withinMs` if the promise has not settled; `what` is asked for its words only then. */
export async function within<T>(promise: Promise<T>, withinMs: number, what: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${withinMs} ms: ${what()}`)), withinMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

// Below the range from which Linux takes the local ports of outgoing connections (32768 and up):
// a server that closes and listens again finds its port still free.
const LOWEST_PORT = 16_000
const PORTS = 16_000
const handedOut = new Set<number>()

/** A TCP port on which nobody listens, not handed out before in this process, safe to close and open again. */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  for (;;) {
    const port = LOWEST_PORT + Math.floor(Math.random() * PORTS)
    if (handedOut.has(port) || !(await canListen(port, host))) continue
    handedOut.add(port)
    return port
  }
}

function canListen(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, host, () => probe.close(() => resolve(true)))
  })
}

/** A new directory, removed after the test. */
export async function tempDir(t: Cleanup, prefix = 'gateway-test-'): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), prefix))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}
