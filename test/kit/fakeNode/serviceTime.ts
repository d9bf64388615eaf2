/** Drawing service times. */
import type { ServiceTime } from './options.ts'

export function drawSeconds(time: ServiceTime, random: () => number): number {
  if (typeof time === 'number') return time
  if (time.kind === 'exponential') return -Math.log(1 - random()) * time.mean
  if (time.kind === 'uniform') return time.from + (time.to - time.from) * random()
  return random() < time.longShare ? time.long : time.short
}

/** A small seeded generator (mulberry32): the same seed, the same service times. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
