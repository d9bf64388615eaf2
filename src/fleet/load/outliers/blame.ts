/** How many answers backends gave, and how many of these were refusals. */
export interface Counts {
  readonly answers: number
  readonly refusals: number
}

/** Prior for the rate at which siblings refuse: this many refusals in this many answers. */
const PRIOR_REFUSALS = 0.04
const PRIOR_ANSWERS = 2
/** However well the siblings answer, one answer in a hundred may be a refusal that is nobody's fault. */
const LEAST_RATE = 0.01

/**
 * The rate at which an innocent backend refuses, as its siblings show it.
 *
 * @param since what the siblings answered since the window of the suspect opened
 * @param lately what they answered lately; it fades
 */
export function siblingRate(since: Counts, lately: Counts): number {
  return Math.max(LEAST_RATE, rateOf(since), rateOf(lately))
}

function rateOf({ answers, refusals }: Counts): number {
  return (Math.max(0, refusals) + PRIOR_REFUSALS) / (Math.max(0, answers) + PRIOR_ANSWERS)
}

/**
 * Natural logarithm of the odds that a backend is to blame for its refusals. One that is refuses half as often as not,
 * besides what its siblings refuse; an innocent one refuses as they do. As a logarithm, since a long row of refusals
 * exceeds what a number holds.
 */
export function logOdds({ answers, refusals }: Counts, innocentRate: number): number {
  const perRefusal = Math.log((1 + innocentRate) / (2 * innocentRate))
  return refusals * perRefusal - (answers - refusals) * Math.LN2
}

/** Counts whose past fades with a half-life. */
export class FadingCounts implements Counts {
  answers = 0
  refusals = 0
  readonly #halfLifeSeconds: number
  #at = -Infinity

  constructor(halfLifeSeconds: number) {
    this.#halfLifeSeconds = halfLifeSeconds
  }

  /** Brings the counts to `now`, monotonic seconds. */
  fadeTo(now: number): this {
    const seconds = now - this.#at
    if (seconds <= 0) return this
    const kept = 2 ** (-seconds / this.#halfLifeSeconds)
    this.answers *= kept
    this.refusals *= kept
    this.#at = now
    return this
  }

  add(now: number, refusals: 0 | 1): void {
    this.fadeTo(now)
    this.answers++
    this.refusals += refusals
  }
}
