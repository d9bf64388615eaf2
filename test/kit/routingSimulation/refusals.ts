import { FleetLoad } from '../../../src/fleet/load/fleetLoad.ts'
import { NodeLoad } from '../../../src/fleet/load/nodeLoad.ts'
import { Outliers, type Asked } from '../../../src/fleet/load/outliers/outliers.ts'
import { lowestScore } from '../../../src/dispatch/policies/selection.ts'
import { Backend } from './backend.ts'
import { Events } from './events.ts'
import { exponential, seededRandom } from './random.ts'

/** Backends that may refuse, and clients whose input may be bad. All run four at once and take a second for a mean job. */
export interface RefusalScenario {
  readonly seed: number
  readonly backends: number
  readonly ratePerSecond: number
  readonly seconds: number
  /** So many of the backends, the first ones, refuse everything at once, between these times. */
  readonly bad?: { readonly backends: number; readonly from: number; readonly until: number }
  /** Clients that share the requests evenly. */
  readonly callers?: number
  /** Share of all requests that is the first client's bad input, which every backend refuses. */
  readonly badInputShare?: number
  /** Bad input comes in bursts of so many, a tenth of a second apart. */
  readonly badInputBurst?: number
  /** Refused requests are tried at every other backend, as at services; else the refusal is the answer, as of nodes. */
  readonly retries?: boolean
  /** False: the rule is off. */
  readonly isWatched?: boolean
}

export interface RefusalResult {
  /** When good requests failed, in order. */
  readonly failedAt: readonly number[]
  /** Numbers of the good requests that failed, from 0. */
  readonly failed: readonly number[]
  /** Mean seconds of the good requests that were served. */
  readonly meanSeconds: number
  readonly setAsides: number
  /** When each set-aside ended, and why. */
  readonly freed: readonly { readonly at: number; readonly by: string }[]
  /** Good requests served by the first backend, by the time they came. */
  readonly servedByFirst: readonly number[]
}

interface Known {
  readonly backend: Backend
  readonly load: NodeLoad
  readonly index: number
}

const REFUSAL_SECONDS = 0.005
const KIND = 'container a'

/** The same scenario gives the same result; the same seed the same arrivals, whatever the rule does. */
export function simulateRefusals(scenario: RefusalScenario): RefusalResult {
  return new RefusalSimulation(scenario).run()
}

class RefusalSimulation {
  readonly #scenario: RefusalScenario
  readonly #events = new Events()
  readonly #fleet = new FleetLoad()
  readonly #known: Known[]
  readonly #arrivals: () => number
  readonly #random: () => number
  readonly #outliers: Outliers<Known>
  readonly #failed: number[] = []
  readonly #failedAt: number[] = []
  readonly #seconds: number[] = []
  readonly #servedByFirst: number[] = []
  readonly #freed: { at: number; by: string }[] = []
  #setAsides = 0
  #good = 0

  constructor(scenario: RefusalScenario) {
    this.#scenario = scenario
    this.#arrivals = seededRandom(2 * scenario.seed)
    this.#random = seededRandom(2 * scenario.seed + 1)
    this.#outliers = new Outliers(this.#fleet.constants, {
      setAside: () => this.#setAsides++,
      freed: (_backend, _kind, by) => this.#freed.push({ at: this.#events.now, by }),
    })
    this.#known = Array.from({ length: scenario.backends }, (_, index) => {
      const load = new NodeLoad(this.#fleet, { concurrency: 4 })
      return { backend: new Backend(this.#events, 4, 1), load, index }
    })
  }

  run(): RefusalResult {
    const { seconds } = this.#scenario
    this.#next()
    this.#events.runUntil(seconds + 3600)
    const mean = this.#seconds.reduce((sum, value) => sum + value, 0) / this.#seconds.length
    return {
      failed: this.#failed,
      failedAt: this.#failedAt,
      meanSeconds: mean,
      setAsides: this.#setAsides,
      freed: this.#freed,
      servedByFirst: this.#servedByFirst,
    }
  }

  /** Good requests and bad ones, each a stream of its own, so that the good ones are the same without the bad. */
  #next(): void {
    const { ratePerSecond, seconds, callers = 20, badInputShare = 0, badInputBurst = 1 } = this.#scenario
    const good = seededRandom(3 * this.#scenario.seed)
    const each = (mean: number, random: () => number, run: () => void): void => {
      this.#events.after(exponential(random, mean), () => {
        if (this.#events.now > seconds) return
        run()
        each(mean, random, run)
      })
    }
    each(1 / (ratePerSecond * (1 - badInputShare)), good, () => {
      const caller = `caller ${1 + Math.floor(good() * (callers - 1))}`
      const size = exponential(good, 1)
      this.#ask({ kind: KIND, caller }, this.#good++, size)
    })
    if (badInputShare === 0) return
    each(badInputBurst / (ratePerSecond * badInputShare), this.#arrivals, () => {
      for (let n = 0; n < badInputBurst; n++) {
        this.#events.after(0.1 * n, () => this.#ask({ kind: KIND, caller: 'caller 0' }, undefined, 1))
      }
    })
  }

  /** @param number of a good request */
  #ask(asked: Asked<Known>, number: number | undefined, size: number, tried = new Set<Known>(), at?: number): void {
    const now = this.#events.now
    const startedAt = at ?? now
    const known = this.#choose(tried)
    if (known === undefined) return this.#fail(number, startedAt)
    tried.add(known)
    const mark = known.load.started(now)
    const trial = this.#outliers.started(KIND, known, now)
    if (number === undefined || this.#isBad(known)) {
      this.#events.after(REFUSAL_SECONDS, () => {
        if (trial) this.#outliers.trialEnded(trial)
        known.load.ended(this.#events.now, { outcome: 'pushback', mark })
        this.#judge(asked, known, true, trial)
        if (this.#scenario.retries) this.#ask(asked, number, size, tried, startedAt)
        else this.#fail(number, startedAt)
      })
      return
    }
    // A service answers at the end, a node takes the job at once.
    const accepted = (): void => {
      if (trial) this.#outliers.trialEnded(trial)
      this.#judge(asked, known, false, trial)
    }
    if (!this.#scenario.retries) this.#events.after(REFUSAL_SECONDS, accepted)
    known.backend.submit({ size }, () => {
      if (this.#scenario.retries) accepted()
      known.load.succeeded(this.#events.now)
      known.load.ended(this.#events.now, { outcome: 'success', mark })
      this.#seconds.push(this.#events.now - startedAt)
      if (known.index === 0) this.#servedByFirst.push(startedAt)
    })
  }

  #judge(asked: Asked<Known>, known: Known, isRefusal: boolean, trial: ReturnType<Outliers<Known>['started']>): void {
    if (this.#scenario.isWatched === false) return
    const now = this.#events.now
    const hasSiblings = (): boolean => this.#known.length > 1
    if (isRefusal) this.#outliers.refused(asked, known, now, { status: 500, hasSiblings, trial })
    else this.#outliers.answered(asked, known, now, true, trial)
  }

  #choose(tried: ReadonlySet<Known>): Known | undefined {
    const now = this.#events.now
    const choice = this.#outliers.choice(KIND, now)
    const context = { now, fleet: this.#fleet, random: this.#random }
    const isUntried = (known: Known): boolean => !tried.has(known)
    const isRetry = tried.size > 0
    const allows = (known: Known): boolean => isUntried(known) && choice?.admits(known, now, isRetry) !== false
    return (
      lowestScore(this.#known, { ...context, allows }) ?? lowestScore(this.#known, { ...context, allows: isUntried })
    )
  }

  #isBad({ index }: Known): boolean {
    const { bad } = this.#scenario
    const { now } = this.#events
    return bad !== undefined && index < bad.backends && now >= bad.from && now < bad.until
  }

  #fail(number: number | undefined, at: number): void {
    if (number === undefined) return
    this.#failed.push(number)
    this.#failedAt.push(at)
  }
}
