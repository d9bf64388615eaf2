/** A sum that fades: after `seconds` a third of what was added is left. */
export class FadingSum {
  readonly #seconds: number
  #sum = 0
  #at = 0

  constructor(seconds: number) {
    this.#seconds = seconds
  }

  /** `now`: monotonic seconds. */
  add(amount: number, now: number): void {
    this.#sum = this.at(now) + amount
    this.#at = now
  }

  at(now: number): number {
    return this.#sum * Math.exp((this.#at - now) / this.#seconds)
  }
}

/** Over how long a rate is taken, seconds. */
const RATE_SECONDS = 30

/** Work done a second while requests wait, so that all places are taken. */
export class DrainRate {
  readonly #work = new FadingSum(RATE_SECONDS)
  readonly #seconds = new FadingSum(RATE_SECONDS)
  #at = 0

  /** Time has passed, `isBusy` if requests waited all the while. `now`: monotonic seconds. */
  passed(now: number, isBusy: boolean): void {
    if (isBusy) this.#seconds.add(Math.max(0, now - this.#at), now)
    this.#at = now
  }

  done(work: number, now: number): void {
    this.#work.add(work, now)
  }

  /** Undefined while too little was seen. */
  perSecond(now: number): number | undefined {
    const seconds = this.#seconds.at(now)
    const work = this.#work.at(now)
    return seconds > 0.1 && work > 0 ? work / seconds : undefined
  }
}

/** What the ratio moves with each request. */
const REFUSED_STEP = 0.05
/** However many are refused, one in five is taken to be admitted. */
const MOST_REFUSED_RATIO = 0.8

/** Part of the requests that came lately and were refused for want of room. */
export class RefusedRatio {
  #ratio = 0

  came(isRefused: boolean): void {
    this.#ratio += REFUSED_STEP * (Number(isRefused) - this.#ratio)
  }

  /** How often a request has to come until it is admitted, on the mean: others come in between, and take the free places. */
  get attempts(): number {
    return 1 / (1 - Math.min(this.#ratio, MOST_REFUSED_RATIO))
  }
}
