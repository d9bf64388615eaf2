import type { Candidate } from './candidate.ts'

/** Draws members of a list with probability proportional to their throughput. Never uniformly: that over-feeds the
 * slow ones, however few are compared. */
class SamplingTable {
  readonly builtAt: number
  readonly #cumulative: Float64Array

  constructor(candidates: readonly Candidate[], now: number) {
    this.builtAt = now
    this.#cumulative = new Float64Array(candidates.length)
    let total = 0
    for (let i = 0; i < candidates.length; i++) {
      total += candidates[i]!.load.throughput(now)
      this.#cumulative[i] = total
    }
  }

  /** The index of a member.
   * @param uniform a random number in [0, 1) */
  draw(uniform: number): number {
    const cumulative = this.#cumulative
    const last = cumulative.length - 1
    const target = uniform * cumulative[last]!
    let low = 0
    let high = last
    while (low < high) {
      const middle = (low + high) >>> 1
      if (cumulative[middle]! > target) high = middle
      else low = middle + 1
    }
    return low
  }
}

const tables = new WeakMap<readonly Candidate[], SamplingTable>()

/** The table of a list: the one built for this very array before, unless it is older than `maxAgeSeconds`. */
export function samplingTable(candidates: readonly Candidate[], now: number, maxAgeSeconds: number): SamplingTable {
  let table = tables.get(candidates)
  if (table === undefined || now - table.builtAt >= maxAgeSeconds) {
    table = new SamplingTable(candidates, now)
    tables.set(candidates, table)
  }
  return table
}
