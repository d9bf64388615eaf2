import { setTimeout as sleep } from 'node:timers/promises'
import { exponential, seeded } from '../../routing/random.ts'

/** Open arrivals: nobody waits for an answer before the next request. */
export interface ArrivalRate {
  readonly perSecond: number
  readonly seconds: number
}

const SEED = 1

/** Calls `arrive` at the moments of a Poisson process, the same ones for everybody. Those due within a millisecond come at once. */
export async function poissonArrivals({ perSecond, seconds }: ArrivalRate, arrive: () => void): Promise<void> {
  const random = seeded(SEED)
  const startedAt = performance.now()
  const meanMs = 1000 / perSecond
  let next = exponential(random, meanMs)
  while (next < seconds * 1000) {
    const wait = next - (performance.now() - startedAt)
    if (wait > 0) await sleep(wait)
    for (const now = performance.now() - startedAt; next <= now; next += exponential(random, meanMs)) arrive()
  }
}
