import { nextAge, SHORTEST_GAP_SECONDS } from './pace.ts'

/** Kinds of work that are remembered; the one that ended longest ago is forgotten. */
const MAX_KINDS = 200
/** A kind with a longer name is not worth its memory, characters. */
const LONGEST_KIND = 1000
/** Ends of a kind that are remembered, and from how many on they are trusted. */
const MAX_ENDS = 8
const LEAST_ENDS = 4
/** An end is known well enough where this share of the job's age, at most, had passed since the look before. */
const SHARPNESS = 1 / 3
/** A look is planned a little after the age at which others ended, so that it does not just miss the end. */
const MARGIN = 1 + 1 / 32
/** What a look costs, as a delay that it must save, seconds. */
const LOOK_COST_SECONDS = 0.002

/** At what age the jobs of one node have ended of late: where ages are much alike, looks before can be saved. */
export class EndTimes {
  /** Ages in seconds, the oldest first, by kind of work; the kind that ended last comes last. */
  readonly #ofKind = new Map<string, number[]>()

  /** A job was seen to have ended. `sinceSeconds` is how long before it was seen to run, or was begun. */
  saw(kind: string, ageSeconds: number, sinceSeconds: number): void {
    const isSharp = sinceSeconds <= Math.max(1.5 * SHORTEST_GAP_SECONDS, ageSeconds * SHARPNESS)
    if (!isSharp || kind.length > LONGEST_KIND) return
    const ends = this.#ofKind.get(kind) ?? []
    this.#ofKind.delete(kind)
    this.#ofKind.set(kind, ends)
    ends.push(ageSeconds - sinceSeconds / 2)
    if (ends.length > MAX_ENDS) ends.shift()
    if (this.#ofKind.size > MAX_KINDS) this.#ofKind.delete(this.#ofKind.keys().next().value as string)
  }

  /**
   * The age at which a job is best looked at next that was last seen to run at the age of `lookedAge`: by which the mean
   * delay until an end is seen is shortest, were it to end as those before it did. The soonest one where little is known.
   */
  bestAge(kind: string, lookedAge: number): number {
    const soonest = nextAge(lookedAge)
    const ends = this.#ofKind.get(kind)?.filter((age) => age > lookedAge) ?? []
    if (ends.length < LEAST_ENDS) return soonest
    let best = soonest
    let bestDelay = meanDelay(ends, soonest)
    for (const end of ends) {
      const age = end * MARGIN
      if (age <= soonest) continue
      const delay = meanDelay(ends, age)
      if (delay < bestDelay) [best, bestDelay] = [age, delay]
    }
    return best
  }
}

/** Mean delay until an end is seen, for jobs that end at these ages: the first look is at `firstAge`, others follow as soon as allowed. */
function meanDelay(ends: readonly number[], firstAge: number): number {
  let sum = 0
  for (const end of ends) {
    let age = firstAge
    sum += LOOK_COST_SECONDS
    while (age < end) {
      age = nextAge(age)
      sum += LOOK_COST_SECONDS
    }
    sum += age - end
  }
  return sum / ends.length
}
