import { setTimeout as sleep } from 'node:timers/promises'
import { exponential, seeded } from '../routing/random.ts'
import type { Side } from './rig.ts'

/** Shortest request, tokens. */
const LEAST_TOKENS = 10

/** Random numbers of their own for each caller and seed, so that all contenders get the same requests. */
export function randomOf(seed: number, caller: number): () => number {
  return seeded(seed * 7919 + caller * 104_729 + 1)
}

/** Exponential sizes, whole tokens. */
export function tokensOf(random: () => number, mean: number): number {
  return Math.max(LEAST_TOKENS, Math.round(exponential(random, mean)))
}

export interface Loop {
  readonly caller: number
  readonly seed: number
  readonly meanTokens: number
  /** Mean of the exponential pauses between an answer and the next request, ms; none where it is 0. */
  readonly pauseMs?: number
}

/** One request at a time, until the side's client is closed. */
export async function askInTurn({ client }: Side, { caller, seed, meanTokens, pauseMs = 0 }: Loop): Promise<void> {
  const random = randomOf(seed, caller)
  while (!client.isOver) {
    if (pauseMs > 0) await sleep(exponential(random, pauseMs))
    const { end } = await client.ask({ caller, tokens: tokensOf(random, meanTokens) })
    // A refusal at once must not become a flood.
    if (end === 'refused' || end === 'broken') await sleep(100)
  }
}

/** `inFlight` requests of one caller all the time. */
export function keepInFlight(side: Side, loop: Loop, inFlight: number): void {
  for (let i = 0; i < inFlight; i++) void askInTurn(side, { ...loop, seed: loop.seed + 1000 * (i + 1) })
}

/** One request that comes at its time, whatever became of those before. */
export interface Arrival {
  /** ms after the start. */
  readonly at: number
  readonly caller: number
  readonly tokens: number
}

export interface Poisson {
  readonly seed: number
  readonly callers: number
  /** Requests per ms. */
  readonly rate: number
  readonly fromMs: number
  readonly toMs: number
  readonly meanTokens: number
}

export function poissonArrivals({ seed, callers, rate, fromMs, toMs, meanTokens }: Poisson): Arrival[] {
  const random = randomOf(seed, 0)
  const arrivals: Arrival[] = []
  for (let at = fromMs + exponential(random, 1 / rate); at < toMs; at += exponential(random, 1 / rate)) {
    arrivals.push({ at, caller: Math.floor(random() * callers), tokens: tokensOf(random, meanTokens) })
  }
  return arrivals
}

/** Sends each arrival at its time; resolves when the last was sent. */
export async function offer(
  { client }: Side,
  arrivals: readonly Arrival[],
  startedAt: number,
  patienceMs?: number,
): Promise<void> {
  for (const { at, caller, tokens } of arrivals) {
    const dueAt = startedAt + at
    const ahead = dueAt - performance.now()
    if (ahead > 1) await sleep(ahead)
    void client.ask({ caller, tokens, dueAt, ...(patienceMs !== undefined && { patienceMs }) })
  }
}
