/** Waiting for things that have no event, free ports and directories that vanish after the test. */
import './exit.ts'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** What of node:test's context the kit uses. */
export interface Cleanup {
  after(fn: () => unknown): void
}

/**
 * Polls until `look` returns something truthy without throwing, and returns that.
 * Rejects with the last error, or the last value, after `withinMs` (default 15,000).
 */
export async function eventually<T>(
  look: () => T | Promise<T>,
  options: { withinMs?: number; everyMs?: number; what?: string } = {},
): Promise<NonNullable<T>> {
  const { withinMs = 15_000, everyMs = 10, what = 'the condition' } = options
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
/** Each process has blocks of its own. The first port of a block is its guard: who listens there has the block. */
const BLOCKS = 32
const PORTS_PER_BLOCK = 500
/** Of this process's blocks, in random order. */
const unused: number[] = []
let claiming: Promise<void> | undefined

/**
 * A TCP port on which nobody listens, at none of these addresses (default: 127.0.0.1), safe to close and open again. It
 * was not handed out before in this process, and no other one gets it as long as this one lives. Rejects where such an
 * address is not here.
 */
export async function freePort(...hosts: string[]): Promise<number> {
  for (;;) {
    const port = unused.pop()
    if (port === undefined) {
      claiming ??= claimBlock().finally(() => (claiming = undefined))
      await claiming
    } else if (await canListen(port, hosts.length > 0 ? hosts : ['127.0.0.1'])) return port
  }
}

async function claimBlock(): Promise<void> {
  for (const block of shuffled(BLOCKS)) {
    const first = LOWEST_PORT + block * PORTS_PER_BLOCK
    const guard = await listen(first, '127.0.0.1')
    if (!guard) continue
    // Held until the process ends, and no reason for it not to.
    guard.unref()
    unused.push(...shuffled(PORTS_PER_BLOCK - 1).map((n) => first + 1 + n))
    return
  }
  throw new Error('other processes have all blocks of ports')
}

/** 0 to n - 1 in random order. */
function shuffled(n: number): number[] {
  const keys = Array.from({ length: n }, () => Math.random())
  return Array.from(keys.keys()).sort((a, b) => keys[a]! - keys[b]!)
}

async function canListen(port: number, hosts: readonly string[]): Promise<boolean> {
  for (const host of hosts) {
    const probe = await listen(port, host)
    if (!probe) return false
    await new Promise((resolve) => probe.close(resolve))
  }
  return true
}

/** Undefined where somebody listens there already. */
function listen(port: number, host: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined)
      else reject(error)
    })
    server.listen(port, host, () => resolve(server))
  })
}

/** A new directory, removed after the test. */
export async function tempDir(t: Cleanup, prefix = 'gateway-test-'): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), prefix))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}
